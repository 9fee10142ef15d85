"""A KServe v2 server: readiness, a pipeline's inputs, Triton's statistics, and complete requests.

Triton's extensions (repository index, model configuration, statistics, binary tensors) are used if they exist.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from typing import Any
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
    """A model and its inputs.

    Attributes:
        inputs: by the server's metadata; -1 stands for a free size.
        optional: inputs that may be left out, if the server reports them.
        streamed: whether it answers with a stream.
    """

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


class KServe(ABC):
    """A server at an address, HOST:PORT or a URL."""

    def __init__(self, url: str) -> None:
        self.url = url

    def require_ready(self) -> None:
        """Raises ServerFailure if it is not ready or nothing answers."""
        if not self._ready():
            raise self._failure("is not ready")

    def pipeline(self, name: str) -> Pipeline:
        """A model's or pipeline's inputs.

        Raises:
            InvalidSetting: the server does not have it; the error lists what it has.
            ServerFailure: it does not answer.
        """
        names = self._names()
        if names and name not in names:
            raise InvalidSetting("pipeline", f"the server has no {name!r}", ", ".join(names))
        metadata = self._metadata(name)
        if metadata is None:
            raise InvalidSetting("pipeline", f"the server has no {name!r}", "a model of the server")
        config = self._config(name)
        return Pipeline(
            name,
            read_metadata(Model(name, "", ready=True), metadata).inputs,
            frozenset(tensor["name"] for tensor in config.get("input", ()) if tensor.get("optional")),
            bool(config.get("model_transaction_policy", {}).get("decoupled")),
        )

    def default(self) -> str:
        """The pipeline that harmonizes what a text names, by the first model that does.

        Raises:
            InvalidSetting: the server has none.
            ServerFailure: it does not answer.
        """
        names = self._names()
        try:
            catalogue = Catalogue.of(map(self._config, names))
            return catalogue.choose(Harmonize.TASK, None, {"IMAGE", "TEXT"}, streams=False).name
        except ConcordClientError as error:
            raise InvalidSetting("pipeline", f"no default: {error}", ", ".join(names) or "a model's name") from None

    def statistics(self) -> Statistics:
        """Triton's cumulative inference statistics by model name; empty for a server without them.

        Ensembles are left out, because their times are sums of their stages'.
        """
        return {model["name"]: model for model in self._statistics() if model["name"] not in self._ensembles}

    @cached_property
    def extensions(self) -> frozenset[str]:
        """KServe's names of what the server can beyond inference."""
        return frozenset(self._server().get("extensions", ()))

    @cached_property
    def _ensembles(self) -> frozenset[str]:
        names = (model["name"] for model in self._statistics())
        return frozenset(name for name in names if "ensemble_scheduling" in self._config(name))

    @abstractmethod
    def destination(self, pipeline: Pipeline, inputs: Iterable[Input], timeout: float | None) -> Destination:
        """Requests for all outputs of a pipeline, ready for the load generator."""

    @abstractmethod
    def _ready(self) -> bool: ...

    @abstractmethod
    def _index(self) -> list[dict[str, Any]]: ...

    @abstractmethod
    def _metadata(self, name: str) -> Mapping[str, Any] | None: ...

    @abstractmethod
    def _ask_config(self, name: str) -> Mapping[str, Any]: ...

    @abstractmethod
    def _ask_statistics(self) -> list[dict[str, Any]]: ...

    @abstractmethod
    def _server(self) -> Mapping[str, Any]: ...

    def _names(self) -> list[str]:
        index = self._index() if "model_repository" in self.extensions else []
        return sorted({entry["name"] for entry in index if entry.get("state") == "READY"})

    def _config(self, name: str) -> Mapping[str, Any]:
        return self._ask_config(name) if "model_configuration" in self.extensions else {}

    def _statistics(self) -> list[dict[str, Any]]:
        return self._ask_statistics() if "statistics" in self.extensions else []

    def _failure(self, problem: str) -> ServerFailure:
        return ServerFailure("server", f"{self.url} {problem}")


class GrpcKServe(KServe):
    """A server that is asked over gRPC, at HOST:PORT."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._client = triton_grpc.InferenceServerClient(url, channel_args=CHANNEL)

    def destination(self, pipeline: Pipeline, inputs: Iterable[Input], timeout: float | None) -> GrpcTarget:
        request = service_pb2.ModelInferRequest(model_name=pipeline.name)
        if pipeline.streamed:
            request.parameters["triton_enable_empty_final_response"].bool_param = True
        for each in inputs:
            request.inputs.add(name=each.name, datatype=each.datatype, shape=each.array.shape)
            array = serialize_byte_tensor(each.array) if each.datatype == "BYTES" else each.array
            request.raw_input_contents.append(array.item() if each.datatype == "BYTES" else array.tobytes())
        return GrpcTarget(self.url, request.SerializeToString(), pipeline.streamed, timeout)

    def _ready(self) -> bool:
        try:
            return bool(self._client.is_server_ready(client_timeout=CONTROL_SECONDS))
        except InferenceServerException as error:
            raise self._failure(f"does not answer gRPC ({error.message()})") from None

    def _index(self) -> list[dict[str, Any]]:
        return list(self._ask("get_model_repository_index").get("models", []))

    def _metadata(self, name: str) -> Mapping[str, Any] | None:
        try:
            return dict(self._client.get_model_metadata(name, as_json=True, client_timeout=CONTROL_SECONDS))
        except InferenceServerException:
            return None

    def _ask_config(self, name: str) -> Mapping[str, Any]:
        return dict(self._ask("get_model_config", name)["config"])

    def _ask_statistics(self) -> list[dict[str, Any]]:
        return list(self._ask("get_inference_statistics")["model_stats"])

    def _server(self) -> Mapping[str, Any]:
        return self._ask("get_server_metadata")

    def _ask(self, method: str, *arguments: str) -> dict[str, Any]:
        try:
            return dict(getattr(self._client, method)(*arguments, as_json=True, client_timeout=CONTROL_SECONDS))
        except InferenceServerException as error:
            raise self._failure(f"does not answer ({error.message()})") from None


class HttpKServe(KServe):
    """A server that is asked over HTTP/1.1, at http://HOST:PORT, with a path in front of /v2 where it has one."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._url = httpx.URL(url)
        self._prefix = f"{self._url.path.rstrip('/')}/v2"
        self._client = httpx.Client(timeout=CONTROL_SECONDS, trust_env=False)

    def destination(self, pipeline: Pipeline, inputs: Iterable[Input], timeout: float | None) -> Target:
        """Requests whose tensors are binary where the server takes that, and else JSON.

        Raises:
            InvalidSetting: the pipeline answers with a stream, or a tensor is not text and the server wants JSON.
        """
        if pipeline.streamed:
            raise InvalidSetting(
                "pipeline", f"{pipeline.name} answers with a stream, which HTTP does not carry", "gRPC, or another"
            )
        binary = "binary_tensor_data" in self.extensions
        tensors = []
        for each in inputs:
            tensor = triton_http.InferInput(each.name, each.array.shape, each.datatype)
            try:
                tensors.append(tensor.set_data_from_numpy(each.array, binary_data=binary))
            except InferenceServerException as error:
                raise InvalidSetting(each.name, f"the server takes JSON only ({error.message()})", "text") from None
        body, header_size = triton_http.InferenceServerClient.generate_request_body(tensors)
        head = [
            f"POST {self._prefix}/models/{quote(pipeline.name, safe='')}/infer HTTP/1.1",
            f"Host: {self._url.netloc.decode()}",
            f"Content-Type: application/{'json' if header_size is None else 'octet-stream'}",
            f"Content-Length: {len(body)}",
            *([f"Inference-Header-Content-Length: {header_size}"] if header_size is not None else []),
        ]
        request = "\r\n".join([*head, "", ""]).encode() + body
        return Target(self._url.host, self._url.port or 80, request, timeout)

    def _ready(self) -> bool:
        return self._ask("GET", "/health/ready").status_code == HTTPStatus.OK

    def _index(self) -> list[dict[str, Any]]:
        return list(self._json("POST", "/repository/index"))

    def _metadata(self, name: str) -> Mapping[str, Any] | None:
        path = f"/models/{quote(name, safe='')}"
        return dict(self._json("GET", path)) if self._ask("GET", path).is_success else None

    def _ask_config(self, name: str) -> Mapping[str, Any]:
        return dict(self._json("GET", f"/models/{quote(name, safe='')}/config"))

    def _ask_statistics(self) -> list[dict[str, Any]]:
        return list(self._json("GET", "/models/stats")["model_stats"])

    def _server(self) -> Mapping[str, Any]:
        return dict(self._json("GET", ""))

    def _ask(self, method: str, path: str) -> httpx.Response:
        url = self._url.copy_with(path=self._prefix + path)
        try:
            return self._client.request(method, url)
        except httpx.HTTPError as error:
            raise self._failure(f"does not answer HTTP ({error})") from None

    def _json(self, method: str, path: str) -> Any:
        answer = self._ask(method, path)
        try:
            return answer.raise_for_status().json()
        except (httpx.HTTPStatusError, ValueError):
            raise self._failure(f"is no KServe v2: it answers /v2{path} with {answer.status_code}") from None


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
