"""Where the pages are, for those that link to them: importing this needs no package of accounts."""

HARMONIZE, GALLERY, ACCOUNT, KEYS, ADMINISTRATION = "/", "/gallery", "/account", "/keys", "/administration"
