"""A KServe v2 server: readiness, a pipeline's inputs, Triton's statistics, and complete requests.

Triton's extensions (repository index, model configuration, statistics, binary tensors) are used if they exist.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar
from urllib.parse import quote

import httpx
import tritonclient.grpc as triton_grpc  # type: ignore[import-untyped]
import tritonclient.http as triton_http  # type: ignore[import-untyped]
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException, serialize_byte_tensor  # type: ignore[import-untyped]

from benchmarks.load.generator import Destination, Target
from benchmarks.load.grpc_target import CHANNEL, GrpcTarget
from concord.errors import InvalidSetting, ServerFailure
from concord.instruments.stages import Statistics
from concord_client import Catalogue, ConcordClientError, Harmonize
from concord_client.repository import Model, Tensor, read_metadata

CONTROL_SECONDS = 10.0


@dataclass(frozen=True)
class Pipeline:
    """A model and its inputs, in whose shapes -1 stands for a free size; `streamed` if it answers with a stream."""

    name: str
    inputs: tuple[Tensor, ...]
    optional: frozenset[str]
    streamed: bool


@dataclass(frozen=True)
class Input:
    """A tensor that is sent."""

    name: str
    datatype: str
    array: NDArray[Any]


class KServe(AbstractContextManager["KServe"]):
    """A server that is asked through a client of tritonclient, which is closed at the end of the block.

    Every method raises `ServerFailure` where nothing answers.
    """

    protocol: ClassVar[str]

    def __init__(self, url: str, client: Any) -> None:
        self.url = url
        self._client = client

    def __exit__(self, *_error: object) -> None:
        self._client.close()

    def require_ready(self) -> None:
        if not self._ask("is_server_ready"):
            raise ServerFailure("server", f"{self.url} is not ready")

    def pipeline(self, name: str) -> Pipeline:
        """A model's or pipeline's inputs; InvalidSetting lists what the server has, if that is something else."""
        names = self._names()
        try:
            metadata = self._ask("get_model_metadata", name) if name in names or not names else None
        except ServerFailure:
            metadata = None
        if metadata is None:
            allowed = ", ".join(names) or "a model of the server"
            raise InvalidSetting("pipeline", f"the server has no {name!r}", allowed)
        config = self._config(name)
        return Pipeline(
            name,
            read_metadata(Model(name, ""), metadata).inputs,
            frozenset(tensor["name"] for tensor in config.get("input", ()) if tensor.get("optional")),
            bool(config.get("model_transaction_policy", {}).get("decoupled")),
        )

    def default(self) -> str:
        """The pipeline that harmonizes what a text names, by the first model that does; InvalidSetting without one."""
        names = self._names()
        try:
            catalogue = Catalogue.of(map(self._config, names))
            return catalogue.choose(Harmonize.TASK, None, {"IMAGE", "TEXT"}, streams=False).name
        except ConcordClientError as error:
            raise InvalidSetting("pipeline", f"no default: {error}", ", ".join(names) or "a model's name") from None

    def statistics(self) -> Statistics:
        """Triton's cumulative statistics by model, without ensembles, whose times are sums of their stages'."""
        return {name: model for name, model in self._statistics().items() if name not in self._ensembles}

    @abstractmethod
    def destination(self, pipeline: Pipeline, inputs: Iterable[Input], timeout: float | None) -> Destination:
        """Requests for all outputs of a pipeline, ready for the load generator."""

    @cached_property
    def extensions(self) -> frozenset[str]:
        """KServe's names of what the server can beyond inference."""
        return frozenset(self._ask("get_server_metadata").get("extensions", ()))

    @cached_property
    def _ensembles(self) -> frozenset[str]:
        return frozenset(name for name in self._statistics() if "ensemble_scheduling" in self._config(name))

    def _names(self) -> list[str]:
        return sorted(self._statistics())

    def _config(self, name: str) -> Mapping[str, Any]:
        config = self._ask("get_model_config", name) if "model_configuration" in self.extensions else {}
        return dict(config.get("config", config))

    def _statistics(self) -> Statistics:
        answer = self._ask("get_inference_statistics") if "statistics" in self.extensions else {}
        return {model["name"]: model for model in answer.get("model_stats", ())}

    def _call(self, method: Callable[..., Any], *arguments: str) -> Any:
        return method(*arguments)

    def _ask(self, method: str, *arguments: str) -> Any:
        try:
            return self._call(getattr(self._client, method), *arguments)
        except (InferenceServerException, OSError, ValueError) as error:
            reason = error.message() if isinstance(error, InferenceServerException) else error
            problem = f"{self.url} does not answer {self.protocol} as KServe v2 does ({reason})"
            raise ServerFailure("server", problem) from None


class GrpcKServe(KServe):
    """A server that is asked over gRPC, at HOST:PORT."""

    protocol = "gRPC"

    def __init__(self, url: str) -> None:
        super().__init__(url, triton_grpc.InferenceServerClient(url, channel_args=CHANNEL))

    def destination(self, pipeline: Pipeline, inputs: Iterable[Input], timeout: float | None) -> GrpcTarget:
        request = service_pb2.ModelInferRequest(model_name=pipeline.name)
        if pipeline.streamed:
            request.parameters["triton_enable_empty_final_response"].bool_param = True
        for each in inputs:
            request.inputs.add(name=each.name, datatype=each.datatype, shape=each.array.shape)
            array = serialize_byte_tensor(each.array) if each.datatype == "BYTES" else each.array
            request.raw_input_contents.append(array.item() if each.datatype == "BYTES" else array.tobytes())
        return GrpcTarget(self.url, request.SerializeToString(), pipeline.streamed, timeout)

    def _call(self, method: Callable[..., Any], *arguments: str) -> Any:
        form = {} if method == self._client.is_server_ready else {"as_json": True}
        return method(*arguments, client_timeout=CONTROL_SECONDS, **form)


class HttpKServe(KServe):
    """A server that is asked over HTTP/1.1, at http://HOST:PORT, with a path in front of /v2 where it has one."""

    protocol = "HTTP"

    def __init__(self, url: str) -> None:
        address = url.removeprefix("http://")
        super().__init__(url, triton_http.InferenceServerClient(address, network_timeout=CONTROL_SECONDS))

    def destination(self, pipeline: Pipeline, inputs: Iterable[Input], timeout: float | None) -> Target:
        """Requests whose tensors are binary where the server takes that, and else JSON.

        Raises:
            InvalidSetting: the pipeline answers with a stream, or a tensor is not text and the server wants JSON.
        """
        if pipeline.streamed:
            raise InvalidSetting(
                "pipeline", f"{pipeline.name} answers with a stream, which HTTP does not carry", "gRPC, or another"
            )
        tensors = []
        for each in inputs:
            tensor = triton_http.InferInput(each.name, each.array.shape, each.datatype)
            try:
                tensors.append(tensor.set_data_from_numpy(each.array, "binary_tensor_data" in self.extensions))
            except InferenceServerException as error:
                raise InvalidSetting(each.name, f"the server takes JSON only ({error.message()})", "text") from None
        body, header_size = triton_http.InferenceServerClient.generate_request_body(tensors)
        headers = {"Content-Type": "application/json"}
        if header_size is not None:
            headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(header_size)}
        url = f"{self.url.rstrip('/')}/v2/models/{quote(pipeline.name, safe='')}/infer"
        return Target.of(httpx.Request("POST", url, content=body, headers=headers), timeout)


def kserve_at(url: str) -> KServe:
    """The server at HOST:PORT or grpc://HOST:PORT, which speaks gRPC, or at http://HOST:PORT.

    Raises:
        InvalidSetting: it is none of these.
    """
    scheme, _, rest = url.rpartition("://")
    host, _, port = rest.partition("/")[0].rpartition(":")
    if scheme == "http" and rest:
        return HttpKServe(url)
    if scheme in ("", "grpc") and host and port.isdecimal() and "/" not in rest:
        return GrpcKServe(rest)
    raise InvalidSetting("url", f"is {url!r}", "HOST:PORT or grpc://HOST:PORT for gRPC, http://HOST:PORT for HTTP")
