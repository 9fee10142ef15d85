"""What a caller is told when a request is refused or fails: problem details, as RFC 9457 has them.

The codes of Concord's server and client keep their names; the facade adds its own. No path, no traceback and none of
Triton's words that are not typed reach a caller.
"""

import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from concord.errors import ConcordError, typed_error
from concord_client.errors import (
    Cancelled,
    ConcordClientError,
    DeadlineExceeded,
    InvalidInput,
    ModelNotFound,
    ServerError,
    Unavailable,
)
from facade.openai.errors import EDITS, OpenAIError, is_openai, openai_error

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:concord:problem:"
RESTART_SECONDS = 5.0
"""How soon a server that went away may answer again, in seconds."""

KINDS: dict[str, tuple[int, str]] = {
    "invalid_image": (400, "The image cannot be read"),
    "unsupported_image": (415, "This kind of image is not accepted"),
    "image_too_large": (413, "The image is too large"),
    "invalid_mask": (400, "The mask cannot belong to the image"),
    "invalid_text": (400, "The text cannot be used"),
    "invalid_setting": (400, "A setting is not allowed"),
    "missing_field": (400, "A field is missing"),
    "unexpected_field": (400, "A field is not known"),
    "duplicate_field": (400, "A field is given twice"),
    "malformed_body": (400, "The body cannot be read"),
    "invalid_archive": (400, "The archive cannot be read"),
    "unauthorized": (401, "An API key is needed"),
    "not_found": (404, "There is nothing here"),
    "unknown_model": (404, "The model is not loaded"),
    "unknown_job": (404, "No such job is running"),
    "method_not_allowed": (405, "The method is not allowed here"),
    "request_timeout": (408, "The request was sent too slowly"),
    "job_in_use": (409, "A job of this id is running"),
    "request_too_large": (413, "The request is too large"),
    "unsupported_media_type": (415, "The content type is not accepted"),
    "rate_limited": (429, "Too many requests"),
    "cancelled": (499, "The request was cancelled"),
    "internal": (500, "The server failed"),
    "not_finite": (500, "A network gave no number"),
    "busy": (503, "The server is busy"),
    "too_busy": (503, "The server is busy"),
    "unavailable": (503, "The server cannot answer now"),
    "server_failure": (503, "The server cannot answer now"),
    "deadline_exceeded": (504, "The request was not answered in time"),
}
"""Code to HTTP status and title."""

_DEAD_STUB = "Stub process"
_FULL_QUEUE = "maximum queue size"
_RETRIED = frozenset({"busy", "too_busy", "unavailable", "server_failure"})
_BY_STATUS = {404: "not_found", 405: "method_not_allowed", 413: "request_too_large", 415: "unsupported_media_type"}


class ProblemDetails(BaseModel):
    """The body of every refusal and failure (RFC 9457)."""

    model_config = ConfigDict(extra="forbid")

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
    error: OpenAIError | None = Field(None, description=f"the same for OpenAI's clients; of {EDITS} alone")


class Problem(Exception):
    """A request that is refused, or that failed.

    Args:
        code: one of `KINDS`.
        detail: what was wrong, in plain words.
        field: the field or header it is about, as the caller wrote it.
        allowed: what would have been accepted, or the limit.
        retry_after: seconds after which the same request may be sent again.
        headers: further headers of the answer.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        field: str | None = None,
        allowed: str | None = None,
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.code = code
        self.detail = detail
        self.field = field
        self.allowed = allowed or None
        self.retry_after = RESTART_SECONDS if retry_after is None and code in _RETRIED else retry_after
        self.headers = dict(headers or {})
        super().__init__(code, detail)

    @property
    def status(self) -> int:
        """The HTTP status."""
        return KINDS[self.code][0]

    @property
    def title(self) -> str:
        """The kind of problem in words."""
        return KINDS[self.code][1]

    def __str__(self) -> str:
        field = f"{self.field}: " if self.field else ""
        allowed = f"; allowed: {self.allowed}" if self.allowed else ""
        return f"[{self.code}] {field}{self.detail}{allowed}"

    def details(self, request_id: str | None = None, *, openai: bool = False) -> ProblemDetails:
        """The problem as a caller reads it, or as OpenAI's clients do too."""
        words = str(self).partition("] ")[2]
        return ProblemDetails(
            type=TYPE_PREFIX + self.code,
            title=self.title,
            status=self.status,
            detail=self.detail,
            field=self.field,
            allowed=self.allowed,
            request_id=request_id,
            retry_after=self.retry_after,
            error=openai_error(self.status, self.code, words, self.field) if openai else None,
        )

    def response(self, scope: Scope) -> Response:
        """The answer to a request; notes the code in the scope's state, for logs and metrics."""
        state = scope.setdefault("state", {})
        state["problem"] = self.code
        headers = dict(self.headers)
        if self.retry_after is not None:
            headers["Retry-After"] = str(max(1, math.ceil(self.retry_after)))
        details = self.details(state.get("request_id"), openai=is_openai(scope))
        body = details.model_dump_json(exclude_none=True)
        return Response(body, self.status, headers, MEDIA_TYPE)


def problem_of(error: BaseException) -> Problem:
    """What a caller is told of an error: any of the client's, of pydantic's, of Starlette's, or of our own."""
    match error:
        case Problem():
            return error
        case InvalidInput(code=code) if code in KINDS:
            field = None if error.field == "request" else error.field.lower()
            return Problem(code, error.problem, field=field, allowed=error.allowed)
        case ConcordError(code=code) if code in KINDS:
            return Problem(code, error.problem, field=error.field.lower(), allowed=error.allowed)
        case ModelNotFound():
            return Problem("unknown_model", f"{error.model} is not loaded", field="model")
        case DeadlineExceeded():
            return Problem("deadline_exceeded", str(error))
        case Cancelled():
            return Problem("cancelled", str(error))
        case Unavailable() | ServerError():
            return _problem_of_server(error)
        case ValidationError() | RequestValidationError():
            return _problem_of_validation(error.errors()[0])
        case HTTPException(status_code=status) if status < 500:
            code = _BY_STATUS.get(status, "malformed_body")
            return Problem(code, HTTPStatus(status).phrase, headers=error.headers)
    return Problem("internal", "an unexpected error; it is in the log under the request's id")


def install(app: FastAPI) -> None:
    """Has the errors that are known answered as problems; any other is the observer's, which logs it."""

    async def answer(request: Request, error: Exception) -> Response:
        return problem_of(error).response(request.scope)

    for kind in (Problem, ConcordError, ConcordClientError, ValidationError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, answer)


def request_id(scope: Scope) -> str | None:
    """The id that the request came with or was given."""
    found = scope.get("state", {}).get("request_id")
    return None if found is None else str(found)


def responses(*codes: str) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's description of the problems that a route may answer, by status."""
    described: dict[int | str, dict[str, Any]] = {}
    for code in codes:
        status, title = KINDS[code]
        problem = Problem(code, title.lower())
        entry = described.setdefault(
            status,
            {
                "description": "",
                "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}, "examples": {}}},
            },
        )
        entry["description"] = f"{entry['description']}; {title}".removeprefix("; ")
        entry["content"][MEDIA_TYPE]["examples"][code] = {"value": problem.details().model_dump(exclude_none=True)}
        if problem.retry_after is not None or code == "rate_limited":
            entry["headers"] = {"Retry-After": {"description": "seconds", "schema": {"type": "integer", "minimum": 1}}}
    return described


def _problem_of_server(error: Unavailable | ServerError) -> Problem:
    typed = typed_error(str(error))
    if typed is not None and typed.code in KINDS:
        return Problem(typed.code, typed.problem.strip(), allowed=typed.allowed)
    if _FULL_QUEUE in str(error):
        return Problem("busy", "the inference server has as much to do as it takes")
    if isinstance(error, Unavailable) or _DEAD_STUB in str(error):
        return Problem("unavailable", "the inference server does not answer; it is started again by itself")
    return Problem("internal", "the inference server failed; its log says why")


def _problem_of_validation(error: Mapping[str, Any]) -> Problem:
    where = [part for part in error["loc"] if part not in ("body", "query", "path", "header")]
    field = ".".join(map(str, where)) or None
    limits = error.get("ctx", {})
    given = str(error.get("input"))[:40]
    match error["type"]:
        case "missing":
            return Problem("missing_field", f"{field} is missing", field=field)
        case "extra_forbidden":
            return Problem("unexpected_field", f"{field} is not a field of this request", field=field)
        case "literal_error" | "enum":
            allowed = str(limits["expected"]).replace("'", "").replace(" or ", ", ")
            return Problem("invalid_setting", f"{given!r} is not allowed", field=field, allowed=allowed)
    return Problem("invalid_setting", f"{given!r} is not allowed", field=field, allowed=_reworded(error["msg"]))


def _reworded(message: str) -> str:
    return message.removeprefix("Value error, ").removeprefix("Input should be ")
