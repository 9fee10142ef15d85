"""gRPC, through tritonclient: blocking and for asyncio."""

import ipaddress
import re
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import grpc  # type: ignore[import-untyped]
import tritonclient.grpc as triton  # type: ignore[import-untyped]
import tritonclient.grpc.aio as triton_aio  # type: ignore[import-untyped]
from tritonclient.grpc import service_pb2_grpc
from tritonclient.utils import InferenceServerException  # type: ignore[import-untyped]

from concord_client.cancellation import Cancellation
from concord_client.errors import ConcordClientError, Unavailable, Unreachable, error_from_answer
from concord_client.grpc_stream import read_response, stream_request
from concord_client.pipelines import Answer, Question
from concord_client.repository import Model, read_index, read_metadata
from concord_client.tensors import infer_arguments, read_answer
from concord_client.transport import Address

_NEVER_CONNECTED = re.compile(r"failed to connect|DNS resolution failed|name resolution|http1\.x server", re.IGNORECASE)


class GrpcTransport:
    """`Transport` over gRPC; calls may come from any number of threads."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._client = triton.InferenceServerClient(address.url, channel_args=_channel_arguments(address))
        self._channel = grpc.insecure_channel(address.url, _channel_arguments(address))
        self._streams = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    def infer(self, question: Question, timeout: float, cancellation: Cancellation) -> Answer:
        answered: Future[Any] = Future()

        def receive(result: Any, error: Exception | None) -> None:
            if error is None:
                answered.set_result(result)
            else:
                answered.set_exception(error)

        call = self._client.async_infer(
            **infer_arguments(question, triton),
            callback=receive,
            client_timeout=timeout,
            headers=_metadata(question),
        )
        try:
            with cancellation.stopping(call.cancel):
                result = answered.result()
        except InferenceServerException as error:
            raise _typed_error(error, self._address, timeout, question.model) from None
        except BaseException:
            call.cancel()
            raise
        return read_answer(question, result)

    def infer_steps(
        self, question: Question, timeout: float, cancellation: Cancellation, receive: Callable[[Answer], None]
    ) -> None:
        final = False
        responses = self._streams.ModelStreamInfer(
            iter([stream_request(question)]), timeout=timeout, metadata=tuple(_metadata(question).items())
        )
        try:
            with cancellation.stopping(responses.cancel):
                for response in responses:
                    answer, final = read_response(question, response, timeout)
                    receive(answer)
        except BaseException as error:
            responses.cancel()
            if not isinstance(error, grpc.RpcError):
                raise
            # What happens to the stream after the last answer is no loss.
            if not final:
                raise _typed_error(error, self._address, timeout, question.model) from None

    def ready(self, timeout: float) -> bool:
        return bool(self._ask("is_server_ready", timeout))

    def index(self, timeout: float) -> list[Model]:
        return read_index(self._ask("get_model_repository_index", timeout, as_json=True).get("models", ()))

    def describe(self, model: Model, timeout: float) -> Model:
        metadata = self._ask(
            "get_model_metadata", timeout, model_name=model.name, model_version=model.version, as_json=True
        )
        return read_metadata(model, metadata)

    def close(self) -> None:
        self._client.close()
        self._channel.close()

    def _ask(self, method: str, timeout: float, **arguments: Any) -> Any:
        try:
            return getattr(self._client, method)(**arguments, client_timeout=timeout)
        except InferenceServerException as error:
            raise _typed_error(error, self._address, timeout, arguments.get("model_name", "")) from None


class AsyncGrpcTransport:
    """`AsyncTransport` over gRPC; made and used in one event loop."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._client = triton_aio.InferenceServerClient(address.url, channel_args=_channel_arguments(address))
        self._channel = grpc.aio.insecure_channel(address.url, _channel_arguments(address))
        self._streams = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    async def infer(self, question: Question, timeout: float) -> Answer:
        arguments = infer_arguments(question, triton)
        result = await self._ask("infer", timeout, **arguments, headers=_metadata(question))
        return read_answer(question, result)

    async def infer_steps(self, question: Question, timeout: float, receive: Callable[[Answer], None]) -> None:
        final = False
        responses = self._streams.ModelStreamInfer(
            iter([stream_request(question)]), timeout=timeout, metadata=tuple(_metadata(question).items())
        )
        try:
            async for response in responses:
                answer, final = read_response(question, response, timeout)
                receive(answer)
        except BaseException as error:
            responses.cancel()
            if not isinstance(error, grpc.RpcError):
                raise
            # What happens to the stream after the last answer is no loss.
            if not final:
                raise _typed_error(error, self._address, timeout, question.model) from None

    async def ready(self, timeout: float) -> bool:
        return bool(await self._ask("is_server_ready", timeout))

    async def index(self, timeout: float) -> list[Model]:
        index = await self._ask("get_model_repository_index", timeout, as_json=True)
        return read_index(index.get("models", ()))

    async def describe(self, model: Model, timeout: float) -> Model:
        metadata = await self._ask(
            "get_model_metadata", timeout, model_name=model.name, model_version=model.version, as_json=True
        )
        return read_metadata(model, metadata)

    async def close(self) -> None:
        await self._client.close()
        await self._channel.close()

    async def _ask(self, method: str, timeout: float, **arguments: Any) -> Any:
        try:
            return await getattr(self._client, method)(**arguments, client_timeout=timeout)
        except InferenceServerException as error:
            raise _typed_error(error, self._address, timeout, arguments.get("model_name", "")) from None


def _metadata(question: Question) -> dict[str, str]:
    return {name.lower(): value for name, value in question.headers.items()}


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
    """Types tritonclient's exception, or the ``grpc.RpcError`` of a stream."""
    if isinstance(error, InferenceServerException):
        status, message = error.status() or "", error.message()
    else:
        status, message = str(error.code()), error.details()
    message = message or "no reason given"
    typed = error_from_answer(status, message, model=model, timeout=timeout)
    if type(typed) is Unavailable and _NEVER_CONNECTED.search(message):
        return Unreachable(address.url, address.protocol, message)
    return typed
