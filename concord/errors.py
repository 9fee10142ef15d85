"""Typed errors that reach a client: each has a stable code, an HTTP status and a message of one form.

The text never holds a path or a traceback, so it can be passed on as it is by Triton, by the facade and by the command
line, and the client finds it again (`concord_client.errors.Message`).
"""

from typing import ClassVar

from concord_client.errors import Message


class ConcordError(Exception):
    """Base of every error of Concord that a client may see.

    Args:
        field: the input it is about, as the client knows it (``IMAGE``, ``MASK``, ``TEXT``, a setting).
        problem: what was wrong, in plain words.
        allowed: what would have been accepted; empty where nothing the client sends would help.
    """

    code: ClassVar[str] = "internal"
    http_status: ClassVar[int] = 500

    def __init_subclass__(cls, code: str = "", http_status: int = 0) -> None:
        cls.code = code or cls.code
        cls.http_status = http_status or cls.http_status

    def __init__(self, field: str, problem: str, allowed: str = "") -> None:
        self.field = field
        self.problem = problem
        self.allowed = allowed
        super().__init__(field, problem, allowed)

    def __str__(self) -> str:
        return str(Message(self.code, self.field, self.problem, self.allowed))


class InvalidImage(ConcordError, code="invalid_image", http_status=400):
    """The bytes are no image, or a damaged one."""


class UnsupportedImage(ConcordError, code="unsupported_image", http_status=415):
    """An image, but of a kind that is refused by name (CMYK, 16 bits a channel, an unknown format)."""


class ImageTooLarge(ConcordError, code="image_too_large", http_status=413):
    """More bytes or pixels than the limits allow."""


class TooComplex(ConcordError, code="too_complex", http_status=413):
    """An image file of more parts than the limits allow, or that takes more time or memory to decode."""


class InvalidMask(ConcordError, code="invalid_mask", http_status=400):
    """A mask that cannot belong to the image."""


class InvalidPoints(ConcordError, code="invalid_points", http_status=400):
    """Points or a box that cannot be in the image, or do not say what is meant."""


class InvalidText(ConcordError, code="invalid_text", http_status=400):
    """A referring expression that cannot be used."""


class InvalidSetting(ConcordError, code="invalid_setting", http_status=400):
    """A setting of a request is out of range or unknown, or contradicts another."""


class InUse(ConcordError, code="in_use", http_status=409):
    """A model that others need cannot be unloaded."""


class Busy(ConcordError, code="busy", http_status=503):
    """As many requests as the server takes are being answered; the same one can be sent again later."""


class Cancelled(ConcordError, code="cancelled", http_status=499):
    """The client gave the request up."""


class DeadlineExceeded(ConcordError, code="deadline_exceeded", http_status=504):
    """The request was not answered in the time it was given."""


class NotFinite(ConcordError, code="not_finite"):
    """A network's output holds NaN or infinity; the field is the network, the problem says at which step."""


class ServerFailure(ConcordError, code="server_failure", http_status=503):
    """The server could not be started, or does not answer."""


def typed_error(message: str) -> ConcordError | None:
    """The error that another model's message carries, whatever Triton put before it; None if it carries none."""
    kinds: list[type[ConcordError]] = [ConcordError, *ConcordError.__subclasses__()]
    if (found := Message.find(message)) is None:
        return None
    named = (kind for kind in kinds if kind.code == found.code)
    return next((kind(found.field, found.problem, found.allowed) for kind in named), None)
