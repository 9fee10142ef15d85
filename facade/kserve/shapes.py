"""The shapes of KServe v2: what is said of the server and its pipelines, requests in JSON, answers and errors. Pure."""

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from facade.problems import Problem, ProblemDetails
from facade.settings import LONGEST
from facade.wire.pieces import Base64

VERSION = "1"
"""Of every pipeline: only one is served."""

_MICROSECONDS = 1_000_000
Name = Annotated[str, Field(max_length=256)]


class KServeProblem(ProblemDetails):
    """The body of a refusal or failure of KServe's routes: their error beside the fields of a problem."""

    # KServe's client reads an error only from this.
    MEDIA_TYPE: ClassVar[str] = "application/json"

    error: str = Field(
        description="the same in a line", examples=["[invalid_setting] STEPS: is 99; allowed: a whole number"]
    )


class ServerMetadata(BaseModel):
    """What serves."""

    name: str = "concord"
    version: str
    extensions: list[str] = ["binary_tensor_data", "parameters"]


class ServerLive(BaseModel):
    """Whether the server is alive."""

    live: bool = True


class ServerReady(BaseModel):
    """Whether the server answers requests."""

    ready: bool = True


class PipelineReady(BaseModel):
    """Whether a pipeline answers requests."""

    name: str
    ready: bool = True


class TensorMetadata(BaseModel):
    """An input or output of a pipeline."""

    name: str = Field(examples=["IMAGE"])
    datatype: str = Field(examples=["BYTES"])
    shape: list[int] = Field(examples=[[1, 1]], description="-1 for a size that is free")


class PipelineMetadata(BaseModel):
    """A pipeline, with all the inputs that it takes, optional ones too."""

    name: str = Field(examples=["segment"])
    versions: list[str] = [VERSION]
    platform: str = "concord"
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class _Given(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class InputParameters(_Given):
    binary_data_size: int | None = Field(default=None, ge=0, description="bytes that follow the JSON")


class OutputParameters(_Given):
    binary_data: bool | None = Field(default=None, description="whether its bytes are to follow the JSON")


class InferParameters(_Given):
    timeout: int | None = Field(
        default=None, ge=1, le=int(LONGEST * _MICROSECONDS), description="microseconds, time in the queue included"
    )
    binary_data_output: bool = Field(default=False, description="the same as binary_data, for outputs that do not say")

    @property
    def seconds(self) -> float | None:
        """The timeout."""
        return None if self.timeout is None else self.timeout / _MICROSECONDS


class InferInput(_Given):
    """One tensor of a request."""

    name: Name = Field(examples=["TEXT"])
    datatype: Name = Field(examples=["BYTES"])
    shape: list[int] = Field(examples=[[1, 1]])
    data: list[JsonValue] | None = Field(
        default=None, description="flat or nested; an image in base64 or as a data URL", examples=[["the red ball"]]
    )
    parameters: InputParameters = InputParameters()


class RequestedOutput(_Given):
    """One tensor that is wanted in the answer."""

    name: Name = Field(examples=["HARMONIZED"])
    parameters: OutputParameters = OutputParameters()


class InferRequest(_Given):
    """A request to a pipeline; its name in the body is not read."""

    id: Name = Field(default="", description="comes back with the answer; by default the job's")
    model_name: Name | None = Field(default=None, description="accepted, and of no effect")
    model_version: Name | None = Field(default=None, description="accepted, and of no effect")
    parameters: InferParameters = InferParameters()
    inputs: list[InferInput]
    outputs: list[RequestedOutput] = Field(default=[], description="by default all")


class InferOutput(BaseModel):
    """One tensor of an answer."""

    name: str
    datatype: str
    shape: list[int]
    # Of these, the last would take anything.
    data: list[str | bool | int | float | Base64] | None = Field(default=None, description="a picture in base64")
    parameters: dict[str, int] | None = Field(default=None, description="`binary_data_size`, where it follows the JSON")


class InferResponse(BaseModel):
    """An answer."""

    model_name: str
    model_version: str = VERSION
    id: str
    outputs: list[InferOutput]


def kserve_problem(problem: Problem, request_id: str | None) -> KServeProblem:
    fields: dict[str, Any] = problem.details(request_id).model_dump()
    return KServeProblem(error=str(problem), **fields)
