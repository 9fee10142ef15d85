"""What can go wrong with a request, as one small tree of exceptions.

The server's own words are a `Message`; Triton puts prefixes before them (``in ensemble 'segment_harmonize_ht', ...``).
`error_from_answer` finds them again and gives them their type.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self


@dataclass(frozen=True)
class Message:
    """The words of a typed error, see `InvalidInput`: ``[code] FIELD: what was wrong; allowed: what is allowed``.

    The field may be a model. What is allowed is empty where nothing that is sent would help.
    """

    code: str
    field: str
    problem: str
    allowed: str = ""

    _FORM: ClassVar = re.compile(r"\[([a-z_]+)\] (\w+): (.*?)(?:; allowed: (.*?))?\s*\Z", re.DOTALL)

    @classmethod
    def find(cls, text: str) -> Self | None:
        """The message at the end of a text, whatever stands before it; None if there is none."""
        found = cls._FORM.search(text)
        return None if found is None else cls(found[1], found[2], found[3].strip(), found[4] or "")

    def __str__(self) -> str:
        allowed = f"; allowed: {self.allowed}" if self.allowed else ""
        return f"[{self.code}] {self.field}: {self.problem}{allowed}"


class ConcordClientError(Exception):
    """Base of every error a request can end with."""

    def __post_init__(self) -> None:
        # The dataclasses below are exceptions with their fields as arguments, as pickle wants them.
        self.args = tuple(vars(self).values())


@dataclass(eq=False, repr=False)
class InvalidInput(ConcordClientError):
    """The server refused what it was sent; sending the same again ends the same.

    Attributes:
        code: stable name of the kind of error (``invalid_image``, ``invalid_mask``, ``invalid_setting``, ...).
        field: the input it is about (``IMAGE``, ``MASK``, ``TEXT``, ``STEPS``, ...), or ``request``.
        problem: what was wrong, in plain words.
        allowed: what would have been accepted; empty where the server did not say.
    """

    code: str
    field: str
    problem: str
    allowed: str = ""

    def __str__(self) -> str:
        return str(Message(self.code, self.field, self.problem, self.allowed))


@dataclass(eq=False, repr=False)
class ModelNotFound(ConcordClientError):
    """The server does not have the model or pipeline that was asked for; ``known`` are those it has for the task."""

    model: str
    known: Sequence[str] = ()

    def __str__(self) -> str:
        known = f"; it has {', '.join(self.known)}" if self.known else ""
        return f"the server has no model named {self.model!r}{known}"


@dataclass(eq=False, repr=False)
class InvalidDeclaration(ConcordClientError):
    """The parameter ``key`` of a pipeline's configuration cannot be read."""

    key: str
    problem: str
    allowed: str
    pipeline: str = ""

    def __str__(self) -> str:
        where = f"{self.pipeline}: " if self.pipeline else ""
        return f"{where}{self.key}: {self.problem}; allowed: {self.allowed}"


class Unavailable(ConcordClientError):
    """The server cannot answer now (a full queue, starting, stopping), or went away before it answered.

    The only error after which a call is made again: a few times, and only until the server has reported a step.

    Attributes:
        retry_after: seconds after which the server says that it may be asked again, counted from its answer; None where
            it does not say.
    """

    retry_after: float | None = None


class Lost(Unavailable):
    """A process of the server, or the connection to it, ended before the answer.

    The call is made again from the beginning, because inference has no side effects: until its deadline, or until
    `MOST_LOSSES` processes have ended with it, because then it may be what ends them.
    """

    @property
    def model(self) -> str:
        """The model whose process has ended; empty where the words do not say it."""
        found = _DEAD.search(str(self))
        return (found[1] or found[2]) if found else ""


MOST_LOSSES = 4


@dataclass(eq=False, repr=False)
class Unreachable(Unavailable):
    """Nothing that speaks the protocol answers at the address."""

    address: str
    protocol: str
    reason: str

    def __str__(self) -> str:
        return (
            f"no server answers {self.protocol} at {self.address} ({self.reason}); "
            "start one with `make serve`, or check the address and the protocol"
        )


@dataclass(eq=False, repr=False)
class DeadlineExceeded(ConcordClientError):
    """No answer within the time the caller gave."""

    seconds: float

    def __str__(self) -> str:
        return f"no answer within {self.seconds:g} s"


class Cancelled(ConcordClientError):
    """The call was cancelled, by this program or by the server."""

    def __str__(self) -> str:
        return "the request was cancelled"


class ServerError(ConcordClientError):
    """The server failed; nothing is wrong with what it was sent."""


_LOST = re.compile(
    r"stub\b.*\bnot healthy|socket closed|connection reset|broken pipe|goaway|stream removed|rst_stream|endpoint clos",
    re.IGNORECASE | re.DOTALL,
)
_DEAD = re.compile(r"stub process '(\w+?)_\d+_\d+'|\[server_failure\] (\w+):", re.IGNORECASE)
_UNKNOWN_MODEL = re.compile(r"unknown model: '(?P<model>[^']*)'.*is not found", re.DOTALL)
_CODES = {
    "busy": "UNAVAILABLE",
    "deadline_exceeded": "DEADLINE_EXCEEDED",
    "cancelled": "CANCELLED",
    "server_failure": "UNAVAILABLE",
    **dict.fromkeys(("internal", "not_finite"), "INTERNAL"),
}
"""gRPC's status for the codes of messages that do not refuse an input."""
_ENDS = frozenset({"DEADLINE_EXCEEDED", "CANCELLED"})
_HTTP_STATUSES = {
    "400": "INVALID_ARGUMENT",
    "404": "NOT_FOUND",
    "413": "RESOURCE_EXHAUSTED",
    "429": "UNAVAILABLE",
    "502": "UNAVAILABLE",
    "503": "UNAVAILABLE",
    "504": "DEADLINE_EXCEEDED",
}


def tells_of_loss(message: str) -> bool:
    """Whether the server's or gRPC's words say that the process or connection that had the request has ended."""
    return _LOST.search(message) is not None


def error_from_answer(status: str, message: str, *, model: str, timeout: float) -> ConcordClientError:
    """Types an error answer of the server.

    Args:
        status: a gRPC status name, with or without ``StatusCode.``, or an HTTP status in digits.
        message: the server's words, with whatever Triton put before them.
        model: the model that was asked; named where the server does not have it.
        timeout: seconds the call was given.
    """
    status = _HTTP_STATUSES.get(status, status.removeprefix("StatusCode."))
    if typed := Message.find(message):
        if typed.code not in _CODES:
            return InvalidInput(typed.code, typed.field, typed.problem, typed.allowed)
        if typed.code == "server_failure":
            return Lost(str(typed))
        status, message = _CODES[typed.code], str(typed)
    # Triton has answered this with UNAVAILABLE in some versions; it is no reason to try again.
    elif unknown := _UNKNOWN_MODEL.search(message):
        return ModelNotFound(unknown["model"])
    elif status not in _ENDS and tells_of_loss(message):
        return Lost(message)
    errors = {
        "NOT_FOUND": ModelNotFound(model),
        "UNAVAILABLE": Unavailable(message),
        "DEADLINE_EXCEEDED": DeadlineExceeded(timeout),
        "CANCELLED": Cancelled(),
        "INVALID_ARGUMENT": InvalidInput("invalid_argument", "request", message),
        "RESOURCE_EXHAUSTED": InvalidInput("request_too_large", "request", message),
    }
    return errors.get(status, ServerError(message))
