"""A destination of the load generator that speaks KServe's gRPC; the request's bytes are made once."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import grpc  # type: ignore[import-untyped]
from tritonclient.grpc import service_pb2  # type: ignore[import-untyped]

from benchmarks.load.generator import LOST, Outcome
from concord_client.grpc_transport import infer_request
from concord_client.inference import Inference

SERVICE = "/inference.GRPCInferenceService"
CONNECT_SECONDS = 10.0
FINAL = "triton_final_response"
CHANNEL = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),  # by default all channels of a process share one connection
    ("grpc.enable_http_proxy", 0),
)


@dataclass(frozen=True)
class GrpcTarget:
    """The HOST:PORT of a server, and the bytes of a ModelInferRequest.

    Where a model answers with a stream (`streamed`), the request must ask for the final response. A request is
    cancelled and lost after `timeout` seconds.
    """

    address: str
    request: bytes
    streamed: bool = False
    timeout: float | None = None

    async def open(self) -> "GrpcLine":
        channel = grpc.aio.insecure_channel(self.address, options=CHANNEL)
        try:
            await asyncio.wait_for(channel.channel_ready(), CONNECT_SECONDS)
        except TimeoutError:
            await channel.close()
            raise ConnectionError(f"no gRPC at {self.address}") from None
        return GrpcLine(self, channel)


def target_of(address: str, model: str, values: Mapping[str, bytes], output: str) -> GrpcTarget:
    """A request of byte strings for one output."""
    return GrpcTarget(address, infer_request(Inference(model, values, (output,))).SerializeToString())


class GrpcLine:
    """One connection to a server; one request at a time."""

    usable = True  # gRPC connects again by itself

    def __init__(self, target: GrpcTarget, channel: grpc.aio.Channel) -> None:
        self._target = target
        self._channel = channel
        # Without serializers, requests and answers are bytes.
        self._unary = channel.unary_unary(f"{SERVICE}/ModelInfer")
        self._stream = channel.stream_stream(f"{SERVICE}/ModelStreamInfer")

    async def ask(self) -> Outcome:
        """The name of gRPC's status; `LOST` if the timeout passed."""
        # No deadline is sent: Triton's frontend can crash when one passes in an ensemble.
        try:
            async with asyncio.timeout(self._target.timeout):
                if self._target.streamed:
                    return await self._ask_stream()
                await self._unary(self._target.request)
        except grpc.aio.AioRpcError as error:
            return Outcome(error.code().name, error.details() or "")
        except TimeoutError:
            return Outcome(LOST, f"no answer within {self._target.timeout:g} s")
        return Outcome("OK")

    async def close(self) -> None:
        await self._channel.close()

    async def _ask_stream(self) -> Outcome:
        async def request() -> AsyncIterator[bytes]:
            yield self._target.request

        outcome = Outcome(LOST, "the stream ended before the last answer")
        async for message in self._stream(request()):
            response = service_pb2.ModelStreamInferResponse.FromString(message)
            if response.error_message:
                outcome = Outcome("ERROR", response.error_message)
            elif response.infer_response.parameters[FINAL].bool_param and outcome.status == LOST:
                outcome = Outcome("OK")
        return outcome
