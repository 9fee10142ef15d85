"""gRPC, through tritonclient's messages and stubs: blocking and for asyncio.

tritonclient's own clients are not used. The blocking one can be cancelled only while it infers, its stream never tells
that it ended without an answer, is one at a time for each client and delivers in a thread of its own; the stream of the
asyncio one cannot ask for the final response.
"""

import asyncio
import re
import struct
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar, cast

import grpc  # type: ignore[import-untyped]
import tritonclient.grpc as triton  # type: ignore[import-untyped]
from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]
from tritonclient.grpc import service_pb2, service_pb2_grpc

from concord_client.cancellation import Cancellation, Deadline
from concord_client.errors import Cancelled, ConcordClientError, Lost, Unavailable, Unreachable, error_from_answer
from concord_client.inference import Inference, datatype_of, shape_of
from concord_client.losses import replaced
from concord_client.repository import Model, read_metadata, read_statistics
from concord_client.retry import seconds_of
from concord_client.settings import Value
from concord_client.tasks.fields import Tensors
from concord_client.transport import Address, is_loopback

_NEVER_CONNECTED = re.compile(r"failed to connect|DNS resolution failed|name resolution|http1\.x server", re.IGNORECASE)
T = TypeVar("T")
_SERVICE = "/inference.GRPCInferenceService/"
_LARGE_BYTES = 2**20
"""From so many on, a message is written and read in a thread, since an event loop would be held up."""
_ASK_FOR_FINAL = "triton_enable_empty_final_response"
_FINAL = "triton_final_response"


class AsyncGrpcTransport:
    """`StreamingTransport` over gRPC; made and used in one event loop."""

    _connect = staticmethod(grpc.aio.insecure_channel)

    def __init__(self, address: Address) -> None:
        self._address = address
        self._channel = self._connect(address.url, _channel_arguments(address))
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        # In bytes, which gRPC would write and read in the event loop.
        self._stub.ModelInfer = self._channel.unary_unary(f"{_SERVICE}ModelInfer")
        self._stub.ModelStreamInfer = self._channel.stream_stream(f"{_SERVICE}ModelStreamInfer")

    async def infer(self, inference: Inference, deadline: Deadline) -> Tensors:
        request = await self._written(inference)
        response = [await self._ask("ModelInfer", request, deadline, inference.model, _metadata(inference))]

        def read() -> Tensors:
            # Popped, so that it is not in memory beside what is read from it.
            return inference.read(triton.InferResult(service_pb2.ModelInferResponse.FromString(response.pop())))

        return await self._aside(len(response[0]), read)

    async def infer_steps(self, inference: Inference, deadline: Deadline, receive: Callable[[Tensors], None]) -> None:
        final = False

        def read(content: bytes) -> Tensors:
            nonlocal final
            response = service_pb2.ModelStreamInferResponse.FromString(content)
            if response.error_message:
                # There is no status, only words. Triton has a mode that ends the stream with one
                # (``triton_grpc_error``), but 2.51 crashes in it now and then.
                message = response.error_message
                raise error_from_answer("", message, model=inference.model, timeout=deadline.seconds)
            final = response.infer_response.parameters[_FINAL].bool_param
            return inference.read(triton.InferResult(response.infer_response))

        request = await self._written(inference, ask_for_final=True)
        responses = self._stub.ModelStreamInfer(iter([request]), timeout=deadline.left, metadata=_metadata(inference))
        ended, lost = Cancellation(), False

        async def watch() -> None:
            nonlocal lost
            with suppress(ConcordClientError, ValueError):  # the latter of a channel that was closed meanwhile
                await replaced(inference.model, self, deadline.under(ended), self._sleep)
                lost = True
                responses.cancel()

        try:
            with deadline.cancellation.stopping(responses.cancel), self._beside(watch(), ended):
                await self._take_each(responses, read, receive)
        except BaseException as error:
            responses.cancel()
            if lost:
                raise Lost(f"the process of {inference.model!r} has ended") from None
            if not isinstance(error, grpc.RpcError):
                raise
            # What happens to the stream after the last answer is no loss.
            if not final:
                raise self._typed(error, deadline, inference.model) from None
        if lost and not final:
            raise Lost(f"the process of {inference.model!r} has ended")

    async def ready(self, deadline: Deadline) -> bool:
        return bool((await self._ask("ServerReady", service_pb2.ServerReadyRequest(), deadline)).ready)

    async def models(self, deadline: Deadline) -> list[Model]:
        return read_statistics(
            _as_dict(await self._ask("ModelStatistics", service_pb2.ModelStatisticsRequest(), deadline))
        )

    async def describe(self, model: Model, deadline: Deadline) -> Model:
        request = service_pb2.ModelMetadataRequest(name=model.name, version=model.version)
        return read_metadata(model, _as_dict(await self._ask("ModelMetadata", request, deadline, model.name)))

    async def config(self, model: str, deadline: Deadline) -> Mapping[str, Any]:
        request = service_pb2.ModelConfigRequest(name=model)
        return _as_dict((await self._ask("ModelConfig", request, deadline, model)).config)

    async def close(self) -> None:
        await self._channel.close()

    async def _ask(
        self, method: str, request: Any, deadline: Deadline, model: str = "", metadata: tuple[tuple[str, str], ...] = ()
    ) -> Any:
        call = self._method(method)(request, timeout=deadline.left, metadata=metadata)
        try:
            with deadline.cancellation.stopping(call.cancel):
                return await self._result(call)
        except grpc.FutureCancelledError:
            raise Cancelled from None
        except grpc.RpcError as error:
            raise self._typed(error, deadline, model) from None
        except BaseException:
            call.cancel()
            raise

    def _method(self, name: str) -> Any:
        return getattr(self._stub, name)

    async def _result(self, call: Any) -> Any:
        return await call

    async def _take_each(self, responses: Any, read: Callable[[bytes], T], take: Callable[[T], None]) -> None:
        async for response in responses:
            take(await self._aside(len(response), partial(read, response)))

    async def _written(self, inference: Inference, *, ask_for_final: bool = False) -> bytes:
        def write() -> bytes:
            request = infer_request(inference)
            if ask_for_final:
                request.parameters[_ASK_FOR_FINAL].bool_param = True
            return bytes(request.SerializeToString())

        return await self._aside(sum(len(each) for each in inference.inputs.values() if isinstance(each, bytes)), write)

    async def _aside(self, size: int, work: Callable[[], T]) -> T:
        """What comes of work on a message of this size in bytes."""
        return await asyncio.to_thread(work) if size >= _LARGE_BYTES else work()

    async def _sleep(self, seconds: float, cancellation: Cancellation) -> None:
        await asyncio.sleep(seconds)

    @contextmanager
    def _beside(self, work: Coroutine[Any, Any, None], ended: Cancellation) -> Iterator[None]:
        """Has work done while the block runs."""
        task = asyncio.create_task(work)
        try:
            yield
        finally:
            task.cancel()

    def _typed(self, error: Any, deadline: Deadline, model: str) -> ConcordClientError:
        """Types a ``grpc.RpcError``."""
        message = error.details() or "no reason given"
        typed = error_from_answer(str(error.code()), message, model=model, timeout=deadline.seconds)
        if type(typed) is Unavailable and _NEVER_CONNECTED.search(message):
            return Unreachable(self._address.url, self._address.protocol, message)
        if isinstance(typed, Unavailable):
            # Triton does not say it; what stands before it may.
            typed.retry_after = seconds_of(str(dict(error.trailing_metadata() or ()).get("retry-after", "")))
        return typed


class GrpcTransport(AsyncGrpcTransport):
    """The same, blocking; calls may come from any number of threads."""

    _connect = staticmethod(grpc.insecure_channel)

    async def infer_steps(self, inference: Inference, deadline: Deadline, receive: Callable[[Tensors], None]) -> None:
        ask = super().infer_steps
        return _apart(lambda deadline, receive: ask(inference, deadline, receive), deadline, receive)

    async def close(self) -> None:
        self._channel.close()

    async def _ask(
        self, method: str, request: Any, deadline: Deadline, model: str = "", metadata: tuple[tuple[str, str], ...] = ()
    ) -> Any:
        ask = super()._ask
        return _apart(lambda deadline, _: ask(method, request, deadline, model, metadata), deadline)

    def _method(self, name: str) -> Any:
        return getattr(self._stub, name).future

    async def _result(self, call: Any) -> Any:
        return call.result()

    async def _take_each(self, responses: Any, read: Callable[[bytes], T], take: Callable[[T], None]) -> None:
        for response in responses:
            take(read(response))

    async def _aside(self, size: int, work: Callable[[], T]) -> T:
        return work()

    async def _sleep(self, seconds: float, cancellation: Cancellation) -> None:
        cancellation.wait(seconds)

    @contextmanager
    def _beside(self, work: Coroutine[Any, Any, None], ended: Cancellation) -> Iterator[None]:
        thread = threading.Thread(target=lambda: next(work.__await__(), None), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.cancel()
            thread.join()


def _apart(
    ask: Callable[[Deadline, Callable[[Tensors], None]], Coroutine[Any, Any, T]],
    deadline: Deadline,
    receive: Callable[[Tensors], None] = lambda _: None,
) -> T:
    """What a blocking call answers, asked in a thread of its own; `receive` is called in the caller's.

    An exception that comes out of a signal, as that of Ctrl-C does, may leave a lock of gRPC's Python code taken for
    ever, and the channel could not be closed. It comes in the main thread, where only this waits.
    """
    stop, told = Cancellation(), SimpleQueue[Any]()

    def work() -> None:
        try:
            ask(deadline.under(stop), told.put).send(None)
        except BaseException as end:
            told.put(end)

    with deadline.cancellation.stopping(stop.cancel):
        try:
            threading.Thread(target=work, daemon=True).start()
            while not isinstance(answer := told.get(), BaseException):
                receive(answer)
        except BaseException:
            stop.cancel()
            raise
    if isinstance(answer, StopIteration):
        return cast(T, answer.value)
    raise answer


def infer_request(inference: Inference) -> Any:
    """The `ModelInferRequest` of an inference."""
    request = service_pb2.ModelInferRequest(model_name=inference.model)
    for name, value in inference.inputs.items():
        request.inputs.add(name=name, datatype=datatype_of(value), shape=shape_of(value))
        request.raw_input_contents.append(_raw(value))
    for name in inference.outputs:
        request.outputs.add(name=name)
    return request


def _raw(value: Value) -> bytes:
    return struct.pack("<I", len(value)) + value if isinstance(value, bytes) else value.tobytes()


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
        ("grpc.max_reconnect_backoff_ms", 500),
    ]
    if is_loopback(address.host):
        # gRPC would take localhost through the http_proxy of the environment.
        arguments.append(("grpc.enable_http_proxy", 0))
    return arguments
