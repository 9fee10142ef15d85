"""gRPC, through tritonclient's messages and stubs: blocking and for asyncio.

tritonclient's own clients are not used. The blocking one can be cancelled only while it infers, its stream never tells
that it ended without an answer, is one at a time for each client and delivers in a thread of its own; the stream of the
asyncio one cannot ask for the final response.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any

import grpc  # type: ignore[import-untyped]
from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]
from tritonclient.grpc import service_pb2, service_pb2_grpc  # type: ignore[import-untyped]

from concord_client.cancellation import Cancellation
from concord_client.errors import Cancelled, ConcordClientError, Unavailable, Unreachable, error_from_answer
from concord_client.grpc_messages import infer_request, read_response, read_streamed, stream_request
from concord_client.inference import Inference
from concord_client.repository import Model, read_index, read_metadata
from concord_client.tasks.fields import Tensors
from concord_client.transport import Address

_NEVER_CONNECTED = re.compile(r"failed to connect|DNS resolution failed|name resolution|http1\.x server", re.IGNORECASE)


class GrpcTransport:
    """`StreamingTransport` over gRPC; calls may come from any number of threads."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._channel = grpc.insecure_channel(address.url, _channel_arguments(address))
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    def infer(self, inference: Inference, timeout: float, cancellation: Cancellation) -> Tensors:
        response = self._ask(
            "ModelInfer", infer_request(inference), timeout, cancellation, inference.model, _metadata(inference)
        )
        return read_response(inference, response)

    def infer_steps(
        self, inference: Inference, timeout: float, cancellation: Cancellation, receive: Callable[[Tensors], None]
    ) -> None:
        final = False
        responses = self._stub.ModelStreamInfer(
            iter([stream_request(inference)]), timeout=timeout, metadata=_metadata(inference)
        )
        try:
            with cancellation.stopping(responses.cancel):
                for response in responses:
                    tensors, final = read_streamed(inference, response, timeout)
                    receive(tensors)
        except BaseException as error:
            responses.cancel()
            if not isinstance(error, grpc.RpcError):
                raise
            # What happens to the stream after the last answer is no loss.
            if not final:
                raise _typed_error(error, self._address, timeout, inference.model) from None

    def ready(self, timeout: float, cancellation: Cancellation) -> bool:
        return bool(self._ask("ServerReady", service_pb2.ServerReadyRequest(), timeout, cancellation).ready)

    def index(self, timeout: float, cancellation: Cancellation) -> list[Model]:
        return _read_index(self._ask("RepositoryIndex", service_pb2.RepositoryIndexRequest(), timeout, cancellation))

    def describe(self, model: Model, timeout: float, cancellation: Cancellation) -> Model:
        metadata = self._ask("ModelMetadata", _metadata_request(model), timeout, cancellation, model.name)
        return read_metadata(model, _as_dict(metadata))

    def config(self, model: str, timeout: float, cancellation: Cancellation) -> Mapping[str, Any]:
        return _as_dict(self._ask("ModelConfig", _config_request(model), timeout, cancellation, model).config)

    def close(self) -> None:
        self._channel.close()

    def _ask(
        self,
        method: str,
        request: Any,
        timeout: float,
        cancellation: Cancellation,
        model: str = "",
        metadata: tuple[tuple[str, str], ...] = (),
    ) -> Any:
        call = getattr(self._stub, method).future(request, timeout=timeout, metadata=metadata)
        try:
            with cancellation.stopping(call.cancel):
                return call.result()
        except grpc.FutureCancelledError:
            raise Cancelled from None
        except grpc.RpcError as error:
            raise _typed_error(error, self._address, timeout, model) from None
        except BaseException:
            call.cancel()
            raise


class AsyncGrpcTransport:
    """`AsyncStreamingTransport` over gRPC; made and used in one event loop."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._channel = grpc.aio.insecure_channel(address.url, _channel_arguments(address))
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    async def infer(self, inference: Inference, timeout: float) -> Tensors:
        response = await self._ask(
            "ModelInfer", infer_request(inference), timeout, inference.model, _metadata(inference)
        )
        return read_response(inference, response)

    async def infer_steps(self, inference: Inference, timeout: float, receive: Callable[[Tensors], None]) -> None:
        final = False
        responses = self._stub.ModelStreamInfer(
            iter([stream_request(inference)]), timeout=timeout, metadata=_metadata(inference)
        )
        try:
            async for response in responses:
                tensors, final = read_streamed(inference, response, timeout)
                receive(tensors)
        except BaseException as error:
            responses.cancel()
            if not isinstance(error, grpc.RpcError):
                raise
            # What happens to the stream after the last answer is no loss.
            if not final:
                raise _typed_error(error, self._address, timeout, inference.model) from None

    async def ready(self, timeout: float) -> bool:
        return bool((await self._ask("ServerReady", service_pb2.ServerReadyRequest(), timeout)).ready)

    async def index(self, timeout: float) -> list[Model]:
        return _read_index(await self._ask("RepositoryIndex", service_pb2.RepositoryIndexRequest(), timeout))

    async def describe(self, model: Model, timeout: float) -> Model:
        metadata = await self._ask("ModelMetadata", _metadata_request(model), timeout, model.name)
        return read_metadata(model, _as_dict(metadata))

    async def config(self, model: str, timeout: float) -> Mapping[str, Any]:
        return _as_dict((await self._ask("ModelConfig", _config_request(model), timeout, model)).config)

    async def close(self) -> None:
        await self._channel.close()

    async def _ask(
        self,
        method: str,
        request: Any,
        timeout: float,
        model: str = "",
        metadata: tuple[tuple[str, str], ...] = (),
    ) -> Any:
        try:
            return await getattr(self._stub, method)(request, timeout=timeout, metadata=metadata)
        except grpc.RpcError as error:
            raise _typed_error(error, self._address, timeout, model) from None


def _config_request(model: str) -> Any:
    return service_pb2.ModelConfigRequest(name=model)


def _metadata_request(model: Model) -> Any:
    return service_pb2.ModelMetadataRequest(name=model.name, version=model.version)


def _read_index(response: Any) -> list[Model]:
    return read_index(_as_dict(response).get("models", ()))


def _as_dict(message: Any) -> dict[str, Any]:
    fields: dict[str, Any] = MessageToDict(message, preserving_proto_field_name=True)
    return fields


def _metadata(inference: Inference) -> tuple[tuple[str, str], ...]:
    return tuple((name.lower(), value) for name, value in inference.headers.items())


def _channel_arguments(address: Address) -> list[tuple[str, int]]:
    arguments = [
        ("grpc.max_send_message_length", -1),
        ("grpc.max_receive_message_length", -1),
        # The defaults, 1 s growing to 2 minutes, would let a server that has just come up go unnoticed.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2000),
    ]
    if _is_loopback(address.host):
        # gRPC would take localhost through the http_proxy of the environment.
        arguments.append(("grpc.enable_http_proxy", 0))
    return arguments


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _typed_error(error: Any, address: Address, timeout: float, model: str) -> ConcordClientError:
    """Types a ``grpc.RpcError``."""
    message = error.details() or "no reason given"
    typed = error_from_answer(str(error.code()), message, model=model, timeout=timeout)
    if type(typed) is Unavailable and _NEVER_CONNECTED.search(message):
        return Unreachable(address.url, address.protocol, message)
    return typed
