"""Errors as OpenAI's clients read them; on their route they stand beside the fields of a problem."""

from typing import Literal

from pydantic import BaseModel, Field
from starlette.types import Scope

EDITS = "/v1/images/edits"


class OpenAIError(BaseModel):
    """The member ``error`` of a body."""

    message: str
    type: Literal["invalid_request_error", "authentication_error", "rate_limit_error", "server_error"]
    param: str | None = Field(default=None, description="the form field it is about")
    code: str = Field(description="the last part of the problem's type", examples=["invalid_setting"])


def is_openai(scope: Scope) -> bool:
    """Whether a request is to OpenAI's route, so that its errors have to be of that shape too."""
    path: str = scope["path"]
    return path.rstrip("/").endswith(EDITS)


def openai_error(status: int, code: str, message: str, param: str | None) -> OpenAIError:
    """The error that goes with an HTTP status."""
    if status >= 500:
        return OpenAIError(message=message, type="server_error", param=param, code=code)
    if status == 401:
        return OpenAIError(message=message, type="authentication_error", param=param, code=code)
    if status == 429:
        return OpenAIError(message=message, type="rate_limit_error", param=param, code=code)
    return OpenAIError(message=message, type="invalid_request_error", param=param, code=code)
