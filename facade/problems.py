"""What a caller is told when a request is refused or fails: problem details, as RFC 9457 has them.

The codes of Concord's server and client keep their names; the facade adds its own. No path, no traceback and none of
Triton's words that are not typed reach a caller.
"""

import dataclasses
import errno
import math
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from http import HTTPStatus
from typing import ClassVar, TypeAlias

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from concord import errors
from concord_client import errors as client_errors

TYPE_PREFIX = "urn:concord:problem:"
RESTART_SECONDS = 5.0
"""How soon a server that went away may answer again, in seconds."""

_OF_THE_SERVER: dict[type[errors.ConcordError], str] = {
    errors.InvalidImage: "The image cannot be read",
    errors.UnsupportedImage: "This kind of image is not accepted",
    errors.ImageTooLarge: "The image is too large",
    errors.TooComplex: "The image takes too much work to read",
    errors.InvalidMask: "The mask cannot belong to the image",
    errors.InvalidPoints: "The points or the box cannot be used",
    errors.InvalidText: "The text cannot be used",
    errors.InvalidSetting: "A setting is not allowed",
    errors.Cancelled: "The request was cancelled",
    errors.ConcordError: "The server failed",
    errors.NotFinite: "A network gave no number",
    errors.InUse: "Others need the model",
    errors.Busy: "The server is busy",
    errors.ServerFailure: "The server cannot answer now",
    errors.DeadlineExceeded: "The request was not answered in time",
}
KINDS: dict[str, tuple[int, str]] = {kind.code: (kind.http_status, title) for kind, title in _OF_THE_SERVER.items()} | {
    "missing_field": (400, "A field is missing"),
    "unexpected_field": (400, "A field is not known"),
    "duplicate_field": (400, "A field is given twice"),
    "malformed_body": (400, "The body cannot be read"),
    "invalid_archive": (400, "The archive cannot be read"),
    "invalid_tensor": (400, "A tensor is not as it is declared"),
    "invalid_name": (400, "The name cannot be used"),
    "weak_password": (400, "The password cannot be used"),
    "unauthorized": (401, "An API key is needed"),
    "forbidden": (403, "This is not for everybody"),
    "foreign_origin": (403, "Pages of other sites are not answered"),
    "refused_agent": (403, "This program is not answered"),
    "not_found": (404, "There is nothing here"),
    "unknown_model": (404, "The model is not loaded"),
    "unknown_job": (404, "No such job is running"),
    "unknown_account": (404, "There is no such account"),
    "method_not_allowed": (405, "The method is not allowed here"),
    "request_timeout": (408, "The request was sent too slowly"),
    "job_in_use": (409, "A job of this id is running"),
    "sample_taken": (409, "Others have the sample"),
    "name_taken": (409, "The name is taken"),
    "wrong_replica": (409, "The replica is not one of this pool"),
    "request_too_large": (413, "The request is too large"),
    "unsupported_media_type": (415, "The content type is not accepted"),
    "unknown_host": (421, "The server does not answer to this name"),
    "rate_limited": (429, "Too many requests"),
    "too_busy": (503, "The server is busy"),
    "loading": (503, "The model is being loaded"),
    "unavailable": (503, "The server cannot answer now"),
    "no_room": (507, "The server has no room"),
}
"""Code to HTTP status and title."""

_RETRIED = frozenset({"busy", "too_busy", "loading", "unavailable", "server_failure", "no_room"})
_FULL_QUEUE = "maximum queue size"
_FULL_MEMORY = "No space left on device"
_BY_STATUS = {404: "not_found", 405: "method_not_allowed", 413: "request_too_large", 415: "unsupported_media_type"}


class ProblemDetails(BaseModel):
    """The body of every refusal and failure (RFC 9457)."""

    model_config = ConfigDict(extra="forbid")
    MEDIA_TYPE: ClassVar[str] = "application/problem+json"

    type: str = Field(description="stable name of the kind of problem", examples=[f"{TYPE_PREFIX}invalid_setting"])
    title: str = Field(description="the same in words", examples=["A setting is not allowed"])
    status: int = Field(description="the HTTP status", examples=[400])
    detail: str = Field(description="what was wrong with this request", examples=["99 is not allowed"])
    field: str | None = Field(None, description="the field or header it is about", examples=["steps"])
    allowed: str | None = Field(
        None, description="what would have been accepted, or the limit", examples=["a whole number from 1 to 50"]
    )
    request_id: str | None = Field(None, description="as in the header X-Request-Id")
    retry_after: float | None = Field(None, description="seconds after which to try again")


@dataclass(eq=False)
class Problem(Exception):
    """A request that is refused, or that failed.

    Its code is one of `KINDS`, its headers are further ones of the answer; the rest is as in `ProblemDetails`.
    """

    code: str
    detail: str
    _: KW_ONLY
    field: str | None = None
    allowed: str | None = None
    retry_after: float | None = None
    headers: dict[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        self.status, self.title = KINDS[self.code]
        self.allowed = self.allowed or None
        if self.retry_after is None and self.code in _RETRIED:
            self.retry_after = RESTART_SECONDS

    def __str__(self) -> str:
        field = f"{self.field}: " if self.field else ""
        allowed = f"; allowed: {self.allowed}" if self.allowed else ""
        return f"[{self.code}] {field}{self.detail}{allowed}"

    def details(self, request_id: str | None = None) -> ProblemDetails:
        return ProblemDetails(
            type=TYPE_PREFIX + self.code,
            title=self.title,
            status=self.status,
            detail=self.detail,
            field=self.field,
            allowed=self.allowed,
            request_id=request_id,
            retry_after=self.retry_after,
        )

    def response(self, scope: Scope) -> Response:
        """The answer to a request; notes the code in the scope's state, for logs and metrics."""
        scope.setdefault("state", {})["problem"] = self.code
        headers = dict(self.headers)
        if self.retry_after is not None:
            headers["Retry-After"] = str(max(1, math.ceil(self.retry_after)))
        details = _shape(scope)(self, request_id(scope))
        return Response(details.model_dump_json(exclude_none=True), self.status, headers, details.MEDIA_TYPE)


Shape: TypeAlias = Callable[[Problem, str | None], ProblemDetails]
"""Makes the body of a problem, given the request's id."""


def install(app: FastAPI, shapes: Mapping[str, Shape]) -> None:
    """Has the errors that are known answered as problems; any other is the observer's, which logs it.

    Shapes are by the starts of the paths whose problems are answered in another shape than `Problem.details`.
    """
    app.state.problem_shapes = shapes

    async def answer(request: Request, error: Exception) -> Response:
        return problem_of(error).response(request.scope)

    for kind in (Problem, errors.ConcordError, client_errors.ConcordClientError, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, answer)


def request_id(scope: Scope) -> str | None:
    """The id that the request came with or was given."""
    found: str | None = scope.get("state", {}).get("request_id")
    return found


def problem_of(error: BaseException) -> Problem:
    """What a caller is told of an error: any of the client's, of Starlette's, or of our own."""
    match error:
        case Problem():
            return error
        case client_errors.InvalidInput(code=code) if code in KINDS:
            field = None if error.field == "request" else error.field.lower()
            return Problem(code, error.problem, field=field, allowed=error.allowed)
        case errors.ConcordError(code=code) if code in KINDS:
            return Problem(code, error.problem, field=error.field.lower(), allowed=error.allowed)
        case client_errors.ModelNotFound():
            known = ", ".join(error.known)
            return Problem("unknown_model", f"{error.model[:40]!r} is not loaded", field="model", allowed=known)
        case client_errors.DeadlineExceeded():
            return Problem("deadline_exceeded", str(error))
        case client_errors.Cancelled():
            return Problem("cancelled", str(error))
        case client_errors.Unavailable() | client_errors.ServerError():
            return _problem_of_server(error)
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            return Problem("no_room", "its disk is full")
        case RequestValidationError():
            # Bodies are read elsewhere; this is a word of the path or the query.
            found = error.errors()[0]
            return Problem("invalid_setting", str(found["msg"])[:200].lower(), field=str(found["loc"][-1])[:40])
        case HTTPException(status_code=status) if status < 500:
            code = _BY_STATUS.get(status, "malformed_body")
            return Problem(code, HTTPStatus(status).phrase, headers=dict(error.headers or {}))
    return Problem("internal", "an unexpected error; it is in the log under the request's id")


def _problem_of_server(error: client_errors.Unavailable | client_errors.ServerError) -> Problem:
    typed = errors.typed_error(str(error))
    if typed is not None and typed.code in KINDS:
        return Problem(typed.code, typed.problem.strip(), allowed=typed.allowed)
    if _FULL_QUEUE in str(error):
        return Problem("busy", "the inference server has as much to do as it takes")
    if _FULL_MEMORY in str(error):
        return Problem("no_room", "its shared memory is full")
    if isinstance(error, client_errors.Unavailable):
        return Problem("unavailable", "the inference server does not answer; it is started again by itself")
    return Problem("internal", "the inference server failed; its log says why")


def _shape(scope: Scope) -> Shape:
    shapes: Mapping[str, Shape] = getattr(getattr(scope.get("app"), "state", None), "problem_shapes", {})
    path: str = scope["path"]
    return next((shape for start, shape in shapes.items() if path.startswith(start)), Problem.details)
