"""What a request declares of itself before its body comes: its method, the body's type and size, and the program.

What nothing here takes is refused at once, before keys are looked up and before anything of the body is read.
"""

from starlette.datastructures import Headers

from facade.access.heads import HeadCheck
from facade.problems import Problem

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
TYPES = (
    "multipart/form-data",
    "application/json",
    "application/octet-stream",
    "application/x-www-form-urlencoded",
)
"""Of bodies that some route takes; curl says the last where it is told nothing."""
ENVELOPE_BYTES = 2**20
"""Of a body besides its files: texts, and what multipart puts around them."""
_FILES = 2
"""That a single request has at most; a batch has bounds of its own."""


class Declared(HeadCheck):
    """ASGI middleware that refuses what no route takes."""

    def check(self, method: str, headers: Headers) -> None:
        agent = headers.get("user-agent", "").lower()
        if any(word in agent for word in self.settings.refused_agents):
            raise Problem("refused_agent", "this kind of program is not answered", field="User-Agent")
        if method not in METHODS:
            allowed = ", ".join(METHODS)
            words = f"{method[:20]!r} is no method of this server"
            raise Problem("method_not_allowed", words, allowed=allowed, headers={"Allow": allowed})
        length = headers.get("content-length", "")
        if (length.isdecimal() and int(length)) or "transfer-encoding" in headers:
            self._check_body(headers.get("content-type", ""), int(length) if length.isdecimal() else 0)

    def _check_body(self, content_type: str, length: int) -> None:
        # The rest of the body would be taken for the next request.
        closing = {"Connection": "close"}
        most = self.largest
        if length > most:
            words = f"at most {most} bytes"
            raise Problem("request_too_large", "the body is too large", allowed=words, headers=closing)
        given = content_type.partition(";")[0].strip().lower()
        if given and given not in TYPES:
            raise Problem(
                "unsupported_media_type",
                f"{given[:64]!r} is not accepted",
                field="Content-Type",
                allowed=", ".join(TYPES),
                headers=closing,
            )

    @property
    def largest(self) -> int:
        """Bytes of the largest body that any route takes."""
        return max(self.settings.max_batch_bytes, _FILES * self.settings.max_bytes) + ENVELOPE_BYTES
