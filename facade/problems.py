"""What a caller is told when a request is refused or fails: problem details, as RFC 9457 has them.

The codes of Concord's server and client keep their names; the facade adds its own. No path, no traceback and none of
Triton's words that are not typed reach a caller.
"""

import math
from collections.abc import Callable, Mapping
from typing import TypeAlias

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response
from starlette.types import Scope

from concord.errors import (
    Busy,
    Cancelled,
    ConcordError,
    DeadlineExceeded,
    ImageTooLarge,
    InvalidImage,
    InvalidMask,
    InvalidSetting,
    InvalidText,
    NotFinite,
    ServerFailure,
    UnsupportedImage,
)

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:concord:problem:"
RESTART_SECONDS = 5.0
"""How soon a server that went away may answer again, in seconds."""

_OF_THE_SERVER: dict[type[ConcordError], str] = {
    InvalidImage: "The image cannot be read",
    UnsupportedImage: "This kind of image is not accepted",
    ImageTooLarge: "The image is too large",
    InvalidMask: "The mask cannot belong to the image",
    InvalidText: "The text cannot be used",
    InvalidSetting: "A setting is not allowed",
    Cancelled: "The request was cancelled",
    ConcordError: "The server failed",
    NotFinite: "A network gave no number",
    Busy: "The server is busy",
    ServerFailure: "The server cannot answer now",
    DeadlineExceeded: "The request was not answered in time",
}
KINDS: dict[str, tuple[int, str]] = {kind.code: (kind.http_status, title) for kind, title in _OF_THE_SERVER.items()} | {
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
    "too_busy": (503, "The server is busy"),
    "unavailable": (503, "The server cannot answer now"),
}
"""Code to HTTP status and title."""

_RETRIED = frozenset({"busy", "too_busy", "unavailable", "server_failure"})


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

    def details(self, request_id: str | None = None) -> ProblemDetails:
        """The problem as a caller reads it."""
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
        state = scope.setdefault("state", {})
        state["problem"] = self.code
        headers = dict(self.headers)
        if self.retry_after is not None:
            headers["Retry-After"] = str(max(1, math.ceil(self.retry_after)))
        details = _shape(scope)(self, state.get("request_id"))
        return Response(details.model_dump_json(exclude_none=True), self.status, headers, MEDIA_TYPE)


Shape: TypeAlias = Callable[[Problem, str | None], BaseModel]
"""Makes the body of a problem, given the request's id."""


def install_shape(app: FastAPI, path: str, shape: Shape) -> None:
    """Has the problems of one path answered in another shape than `Problem.details`."""
    app.state.problem_shapes = getattr(app.state, "problem_shapes", {}) | {path: shape}


def request_id(scope: Scope) -> str | None:
    """The id that the request came with or was given."""
    found = scope.get("state", {}).get("request_id")
    return None if found is None else str(found)


def _shape(scope: Scope) -> Shape:
    shapes: Mapping[str, Shape] = getattr(getattr(scope.get("app"), "state", None), "problem_shapes", {})
    path: str = scope["path"].rstrip("/")
    return next((shape for end, shape in shapes.items() if path.endswith(end)), Problem.details)
