"""A captioner that a Triton serves: encoded pictures and a prompt in, words out."""

import asyncio

from annotation.captioner.captioner import CaptionerTrouble
from annotation.picture import Picture
from concord_client.cancellation import Deadline
from concord_client.errors import ConcordClientError, DeadlineExceeded, Unreachable
from concord_client.grpc_transport import AsyncGrpcTransport
from concord_client.inference import Inference
from concord_client.transport import Address

IMAGE, CROP, PROMPT, CAPTION = "IMAGE", "CROP", "PROMPT", "CAPTION"
"""Its tensors, strings of one element: the picture with a line around the part, the part alone, and the words."""


class TritonCaptioner:
    """Asks a model over gRPC at ``host:port``."""

    def __init__(self, address: str, model: str, timeout: float = 30.0) -> None:
        """ValueError for an address that is none."""
        self.name = f"{model} at {address}"
        self._model, self._timeout = model, timeout
        self._address = Address.of(address, "grpc")
        self._transport: AsyncGrpcTransport | None = None

    async def caption(self, picture: Picture, prompt: str) -> str:
        """As `Captioner`."""
        # A channel belongs to the event loop that it is made in.
        self._transport = self._transport or AsyncGrpcTransport(self._address)
        inputs = {IMAGE: picture.marked(), CROP: picture.crop(), PROMPT: prompt.encode()}
        try:
            async with asyncio.timeout(self._timeout):
                tensors = await self._transport.infer(
                    Inference(self._model, inputs, (CAPTION,)), Deadline(self._timeout)
                )
        except (TimeoutError, DeadlineExceeded):
            raise CaptionerTrouble("timeout", f"{self.name} did not answer in time") from None
        except Unreachable:
            raise CaptionerTrouble("unreachable", f"{self.name} cannot be asked") from None
        except ConcordClientError as error:
            raise CaptionerTrouble("refused", f"{self.name} refused it ({type(error).__name__})") from None
        try:
            [words] = tensors[CAPTION].ravel().tolist()
            return bytes(words).decode()
        except (KeyError, ValueError, TypeError):
            raise CaptionerTrouble("malformed", f"the answer has no {CAPTION} of one text in UTF-8") from None

    async def close(self) -> None:
        """As `Captioner`."""
        if self._transport is not None:
            await self._transport.close()
