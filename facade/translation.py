"""Errors of the client, of pydantic and of Starlette, as problems."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

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
from facade.problems import KINDS, Problem

_DEAD_STUB = "Stub process"
_FULL_QUEUE = "maximum queue size"
_BY_STATUS = {404: "not_found", 405: "method_not_allowed", 413: "request_too_large", 415: "unsupported_media_type"}


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
            known = ", ".join(error.known)
            return Problem("unknown_model", f"{error.model[:40]!r} is not loaded", field="model", allowed=known)
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
