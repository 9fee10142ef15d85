"""Harmonization by latent diffusion (DiffHarmony, Zhou et al. 2024), one request at a time, as a coroutine.

The networks run elsewhere: the loop asks a :class:`Host` for them, step by step, so that requests that run side by side
share the networks' batches. Nothing here knows Triton.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from concord.errors import DeadlineExceeded, InvalidSetting, NotFinite
from concord.images import DecodedImage, decode_image, encode_jpeg, encode_png
from concord.limits import Limits
from concord.loops.request import DiffusionRequest
from concord.masks import decode_mask
from concord.noise import SeededNoise
from concord.samplers import make_sampler
from concord.squash import SMALL_SIZE, latent_mask, squash_image, squash_mask, squash_result
from concord.transfer import transfer

Floats = NDArray[np.float32]
Sample = Mapping[str, Any]
"""Tensors of one sample by name, without a batch axis; a STRING [1] tensor is ``bytes``."""

_Value = TypeVar("_Value")

# The published refinement network was trained on squares of this side, whatever the diffusion worked on.
_REFINEMENT_SIZE = SMALL_SIZE


class Host(Protocol):
    """What the loop needs of the server around it."""

    async def ask(self, model: str, inputs: Sample, outputs: Sequence[str]) -> Sample:
        """Outputs of a model for one sample.

        Raises:
            ConcordError: the model refused or failed.
        """

    async def has(self, model: str) -> bool:
        """Whether the server has a model."""

    async def compute(self, function: Callable[..., _Value], *arguments: Any) -> _Value:
        """The function's value, computed where it does not hold up the other requests."""

    async def report(self, step: int, preview: bytes) -> None:
        """Tells the client how many steps are done; the preview is a JPEG, or empty."""

    def denoising(self) -> AbstractContextManager[None]:
        """Entered for as long as the request asks for the UNet."""

    def check(self) -> None:
        """Raises `concord.errors.Cancelled` if the client has given the request up."""


@dataclass(frozen=True)
class Square:
    """Image and mask as the networks see them.

    Attributes:
        composite: uint8 [S, S, 3] RGB.
        mask: uint8 [S, S] of 0 and 1.
    """

    composite: NDArray[np.uint8]
    mask: NDArray[np.uint8]

    @classmethod
    def of(cls, pixels: NDArray[np.uint8], mask: NDArray[np.uint8], size: int) -> "Square":
        """Squashes uint8 pixels [H, W, 3 or 4] and a mask [H, W] of 0 and 255."""
        return cls(squash_image(pixels, size), squash_mask(mask, size))

    def tensors(self) -> dict[str, NDArray[np.uint8]]:
        """The networks' inputs."""
        return {"COMPOSITE": self.composite, "COMPOSITE_MASK": self.mask}


class Diffusion:
    """One request on its way through the networks.

    Args:
        request: what is asked for.
        host: runs the networks and speaks with the client.
        limits: the largest image accepted.
        noise: draws the noise; by default that of the request's seed. Draw 0
            starts, draw ``i`` belongs to the ``i``-th step.
    """

    def __init__(self, request: DiffusionRequest, host: Host, limits: Limits, noise: SeededNoise | None = None) -> None:
        self._request = request
        self._host = host
        self._limits = limits
        self._noise = noise or SeededNoise(request.seed)
        self._done = 0

    async def harmonize(self) -> dict[str, Any]:
        """Answers the request.

        Returns:
            HARMONIZED, the encoded PNG; SEED, int64 [1]; and where a text was given what ``segment`` found: MASK, SCORE
            and TRUNCATED.

        Raises:
            ConcordError: `DeadlineExceeded`, `Cancelled`, `NotFinite`, or that of a bad input or a network.
        """
        request = self._request
        try:
            async with asyncio.timeout(request.timeout) as deadline:
                return await self._harmonize()
        except TimeoutError:
            if not deadline.expired():
                raise
            problem = f"not answered within {request.timeout:g} s, after {self._done} of {request.steps} steps"
            allowed = "a longer TIMEOUT, fewer STEPS or a smaller RESOLUTION"
            raise DeadlineExceeded("TIMEOUT", problem, allowed) from None

    async def _harmonize(self) -> dict[str, Any]:
        request = self._request
        await self._require_models()
        image = await self._compute(decode_image, request.image, self._limits)
        if request.mask is not None:
            mask = await self._decode_mask(image, request.mask)
            await self._host.report(0, b"")
            found: Sample = {}
        else:
            await self._host.report(0, b"")
            found = await self._ask(
                "segment", {"IMAGE": request.image, "TEXT": request.text}, ("MASK", "SCORE", "TRUNCATED")
            )
            mask = await self._decode_mask(image, found["MASK"])
        if mask.any():
            square = await self._compute(Square.of, image.pixels, mask, request.resolution)
            composite = await self._network(
                "vae_encoder", {"COMPOSITE": square.composite}, "COMPOSITE_LATENT", "encoding the composite"
            )
            with self._host.denoising():
                latent = await self._denoise(composite, square.mask, image.pixels.shape[1] / image.pixels.shape[0])
            result = await self._decode(latent, square)
            if request.refine:
                square, result = await self._refine(image.pixels, mask, result)
            png = await self._compute(_compose, image, mask, square, result)
        else:
            png = await self._compute(encode_png, image.pixels, image.icc_profile)
        return {**found, "HARMONIZED": png, "SEED": np.array([request.seed], np.int64)}

    async def _require_models(self) -> None:
        request = self._request
        for setting, model, is_needed in (
            ("TEXT", "segment", request.text is not None),
            ("DECODER", "harmony_vae", request.decoder == "harmony"),
            ("REFINE", "refinement", request.refine),
            ("PREVIEW", "latent_preview", request.preview),
        ):
            if is_needed and not await self._host.has(model):
                raise InvalidSetting(setting, f"needs the model '{model}', which this server does not have")

    async def _decode_mask(self, image: DecodedImage, mask: bytes) -> NDArray[np.uint8]:
        return await self._compute(decode_mask, mask, *image.pixels.shape[:2], self._limits)

    async def _denoise(self, composite: Floats, mask: NDArray[np.uint8], aspect: float) -> Floats:
        """The harmonized latent, fp32 [4, S/8, S/8], from the composite's and the mask of 0 and 1, [S, S]."""
        steps = self._request.steps
        sampler = make_sampler(self._request.sampler, steps)
        conditions = {"LATENT_MASK": latent_mask(mask), "COMPOSITE_LATENT": composite}
        latent = self._noise.draw(0, composite.shape) * np.float32(sampler.initial_scale)
        for i in range(steps):
            inputs = {"LATENT": sampler.scale(latent, i), "TIMESTEP": sampler.timesteps[i : i + 1]} | conditions
            noise = await self._network("unet", inputs, "NOISE", f"step {i + 1} of {steps}")
            self._done = i + 1
            preview = b""
            if self._request.preview:
                shown = await self._ask("latent_preview", {"LATENT": sampler.estimate(latent, noise, i)}, ("PREVIEW",))
                preview = await self._compute(_thumbnail, shown["PREVIEW"], aspect)
            latent = sampler.step(latent, noise, i, self._noise.draw(i + 1, latent.shape))
            await self._host.report(i + 1, preview)
        return latent

    async def _decode(self, latent: Floats, square: Square) -> Floats:
        if self._request.decoder == "harmony":
            return await self._network("harmony_vae", {"LATENT": latent} | square.tensors(), "SMALL_RESULT", "decoding")
        return await self._network("vae_decoder", {"LATENT": latent}, "SMALL_RESULT", "decoding")

    async def _refine(
        self, pixels: NDArray[np.uint8], mask: NDArray[np.uint8], result: Floats
    ) -> tuple[Square, Floats]:
        square = await self._compute(Square.of, pixels, mask, _REFINEMENT_SIZE)
        result = await self._compute(squash_result, np.clip(result, 0, 1), _REFINEMENT_SIZE)
        return square, await self._network(
            "refinement", {"RESULT": result} | square.tensors(), "SMALL_RESULT", "refining"
        )

    async def _network(self, model: str, inputs: Sample, output: str, doing: str) -> Floats:
        """The one output of a network, which must be finite."""
        answer: Floats = (await self._ask(model, inputs, (output,)))[output]
        if not np.isfinite(answer).all():
            raise NotFinite(model, f"the network's output is not finite at {doing}")
        return answer

    async def _ask(self, model: str, inputs: Sample, outputs: Sequence[str]) -> Sample:
        self._host.check()
        return await self._host.ask(model, inputs, outputs)

    def _compute(self, function: Callable[..., _Value], *arguments: Any) -> Awaitable[_Value]:
        self._host.check()
        return self._host.compute(function, *arguments)


def _compose(image: DecodedImage, mask: NDArray[np.uint8], square: Square, result: Floats) -> bytes:
    """The network's result at full size, as PNG."""
    return encode_png(transfer(image.pixels, mask, square.composite, square.mask, result), image.icc_profile)


def _thumbnail(preview: NDArray[np.uint8], aspect: float) -> bytes:
    """A preview, uint8 [h, w, 3], in the image's aspect and at twice its side, as JPEG."""
    longest = 2 * max(preview.shape[:2])
    size = (max(1, round(longest * min(1, aspect))), max(1, round(longest * min(1, 1 / aspect))))
    return encode_jpeg(np.asarray(cv2.resize(preview, size, interpolation=cv2.INTER_LINEAR), np.uint8))
