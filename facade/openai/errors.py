"""Errors as OpenAI's clients read them; on their route they stand beside the fields of a problem."""

from typing import Literal, TypeAlias

from pydantic import BaseModel, Field

from facade.problems import Problem, ProblemDetails

EDITS = "/v1/images/edits"
Kind: TypeAlias = Literal["invalid_request_error", "authentication_error", "rate_limit_error", "server_error"]
_KINDS: dict[int, Kind] = {401: "authentication_error", 429: "rate_limit_error"}


class OpenAIError(BaseModel):
    """The member ``error`` of a body."""

    message: str
    type: Kind
    param: str | None = Field(default=None, description="the form field it is about")
    code: str = Field(description="the last part of the problem's type", examples=["invalid_setting"])


class OpenAIProblem(ProblemDetails):
    """The body of a refusal or failure of OpenAI's route: their error beside the fields of a problem."""

    error: OpenAIError


def openai_problem(problem: Problem, request_id: str | None) -> OpenAIProblem:
    """A problem as OpenAI's clients read it."""
    error = OpenAIError(
        message=str(problem).partition("] ")[2],
        type=_KINDS.get(problem.status, "server_error" if problem.status >= 500 else "invalid_request_error"),
        param=problem.field,
        code=problem.code,
    )
    return OpenAIProblem(error=error, **problem.details(request_id).model_dump())
