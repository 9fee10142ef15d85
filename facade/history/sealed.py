"""The secret of one result: what its files are called, and how they are encrypted.

A name is an HMAC-SHA256 and tells neither account nor content, nor which files belong together; contents are under
AES-256-GCM, bound to their name. The secret lies in the store alone: when the row is gone, what is left of the files
cannot be read, and a copy of the folder without the store is noise.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12
OVERHEAD_BYTES = _NONCE_BYTES + 16
"""By which a file is longer than its content: the nonce and the tag."""


class Damaged(Exception):
    """A file is not what was written under this name."""


@dataclass(frozen=True)
class Sealed:
    """One result's; the secret is 64 hexadecimal digits."""

    secret: str

    @classmethod
    def new(cls) -> "Sealed":
        return cls(secrets.token_hex(32))

    def name(self, part: str) -> str:
        """The name of the file that holds a part of the result, 64 hexadecimal digits."""
        return self._derived(f"name {part}").hex()

    def seal(self, part: str, content: bytes) -> bytes:
        """A part as it lies on the disk."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher().encrypt(nonce, content, self.name(part).encode())

    def open(self, part: str, sealed: bytes) -> bytes:
        """The part.

        Raises:
            Damaged: it is another file, or not whole.
        """
        nonce, rest = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            return self._cipher().decrypt(nonce, rest, self.name(part).encode())
        except (InvalidTag, ValueError) as error:
            raise Damaged from error

    def _cipher(self) -> AESGCM:
        return AESGCM(self._derived("content"))

    def _derived(self, purpose: str) -> bytes:
        return hmac.digest(bytes.fromhex(self.secret), purpose.encode(), hashlib.sha256)
