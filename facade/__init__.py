"""The facade: HTTP for everyone who does not speak Triton, and a page to try it on."""
