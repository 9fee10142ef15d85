"""Harmonization by latent diffusion (DiffHarmony, Zhou et al. 2024)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from concord.arrays import Floats, Pixels
from concord.errors import InvalidSetting
from concord.images import DecodedImage, decode_image
from concord.limits import Limits
from concord.loops.host import Host, Sample, ask_network
from concord.loops.latent import denoise, draw_preview, preview_view
from concord.loops.loop import Loop
from concord.loops.request import LoopRequest
from concord.loops.window import Window
from concord.masks import decode_mask
from concord.png import encode_png
from concord.samplers import make_sampler
from concord.squash import SMALL_SIZE, latent_mask, squash_image, squash_mask, squash_result
from concord.transfer import transfer

# The published refinement network was trained on squares of this side, whatever the diffusion worked on.
_REFINEMENT_SIZE = SMALL_SIZE


@dataclass(frozen=True)
class Square:
    """Image, uint8 [S, S, 3] RGB, and mask, uint8 [S, S] of 0 and 1, as the networks see them."""

    composite: Pixels
    mask: Pixels

    @classmethod
    def of(cls, pixels: Pixels, mask: Pixels, size: int) -> "Square":
        """Squashes uint8 pixels [H, W, 3 or 4] and a mask [H, W] of 0 and 255."""
        return cls(squash_image(pixels, size), squash_mask(mask, size))

    def tensors(self) -> dict[str, NDArray[Any]]:
        return {"COMPOSITE": self.composite, "COMPOSITE_MASK": self.mask}


class DiffHarmony(Loop):
    """Denoises a latent beside the composite's own, and transfers the change of colours to the photograph.

    Inputs: IMAGE, and one of MASK and TEXT. Settings: SEED, STEPS, SAMPLER, RESOLUTION and WINDOW. Outputs: HARMONIZED,
    a PNG; for a text also what the part ``segment`` found: MASK, SCORE and TRUNCATED.

    Parts: ``encoder``, ``unet`` and ``decoder``; if the request needs them ``segment``, ``refinement`` and ``preview``,
    and in place of ``encoder`` and ``decoder`` ``tiny_encoder``, and ``harmony_decoder``, ``tiny_decoder`` or
    ``linear_decoder``.
    """

    faster = "fewer STEPS or a smaller RESOLUTION"

    def __init__(self, request: LoopRequest, host: Host, limits: Limits) -> None:
        super().__init__(request, host, limits)
        given = [name for name in ("MASK", "TEXT") if name in request.inputs]
        if len(given) != 1:
            found = "both MASK and TEXT are given" if given else "neither MASK nor TEXT is given"
            raise InvalidSetting("MASK", found, "exactly one of MASK and TEXT")

    async def answer(self) -> Sample:
        """See `Loop`."""
        models = self.request.models
        image = await self.host.compute(decode_image, await self.cheap_file("IMAGE"), self.limits)
        mask, found = await self._mask(image)
        if not mask.any():
            png = await self.host.compute(encode_png, image.pixels, image.icc_profile)
            return {**found, "HARMONIZED": png}
        square = await self.host.compute(Square.of, image.pixels, mask, self.request.settings["RESOLUTION"])
        asked = {"COMPOSITE": square.composite}
        encoder = "tiny_encoder" if "tiny_encoder" in models else "encoder"
        composite = await self._ask(encoder, asked, "encoding the composite", "COMPOSITE_LATENT")
        latent = {"LATENT": await self._denoise(composite, square.mask, image.pixels.shape[1] / image.pixels.shape[0])}
        if "harmony_decoder" in models:
            result = await self._ask("harmony_decoder", latent | square.tensors(), "decoding")
        elif "linear_decoder" in models:
            square, result = await self._map(composite, latent["LATENT"], square.mask)
        else:
            result = await self._decode(latent["LATENT"], square.mask, whole="refinement" in models)
        if "refinement" in models:
            square = await self.host.compute(Square.of, image.pixels, mask, _REFINEMENT_SIZE)
            small = await self.host.compute(squash_result, np.clip(result, 0, 1), _REFINEMENT_SIZE)
            result = await self._ask("refinement", {"RESULT": small} | square.tensors(), "refining")
        png = await self.host.compute(_compose, image, mask, square, result)
        return {**found, "HARMONIZED": png}

    async def _ask(self, role: str, inputs: Sample, doing: str, output: str = "SMALL_RESULT") -> Floats:
        return await ask_network(self.host, self.request.models[role], inputs, output, doing)

    async def _decode(self, latent: Floats, mask: Pixels, whole: bool) -> Floats:
        """The picture of a latent, fp32 [3, S, S]; NaN where it was not asked for."""
        decoder = "tiny_decoder" if "tiny_decoder" in self.request.models else "decoder"
        if whole or not self.request.settings["WINDOW"]:
            return await self._ask(decoder, {"LATENT": latent}, "decoding")
        window = Window.around(mask)
        result = await self._ask(decoder, {"LATENT": window.of(latent)}, "decoding")
        return await self.host.compute(window.placed, result, len(mask))

    async def _map(self, composite: Floats, latent: Floats, mask: Pixels) -> tuple[Square, Floats]:
        """What a map of each latent to its colours makes of both, as composite and result."""
        model = self.request.models["linear_decoder"]
        before, after = [
            (await self.host.ask(model, {"LATENT": each}, ("PREVIEW",)))["PREVIEW"] for each in (composite, latent)
        ]
        small, inner, result = await self.host.compute(preview_view, before, after, mask)
        return Square(small, inner), result

    async def _mask(self, image: DecodedImage) -> tuple[Pixels, Sample]:
        """The mask, uint8 [H, W] of 0 and 255, and what was found where a text names it."""
        inputs = self.request.inputs
        if "MASK" in inputs:
            mask = await self._decode_mask(image, await self.cheap_file("MASK"))
            await self.report(0)
            return mask, {}
        await self.report(0)
        asked = {name: inputs[name] for name in ("IMAGE", "TEXT")}
        found = await self.host.ask(self.request.models["segment"], asked, ("MASK", "SCORE", "TRUNCATED"))
        return await self._decode_mask(image, found["MASK"]), found

    async def _decode_mask(self, image: DecodedImage, mask: bytes) -> Pixels:
        return await self.host.compute(decode_mask, mask, *image.pixels.shape[:2], self.limits)

    async def _denoise(self, composite: Floats, mask: Pixels, aspect: float) -> Floats:
        """The harmonized latent, fp32 [4, S/8, S/8], from the composite's and the mask of 0 and 1, [S, S]."""
        models = self.request.models

        async def tell(step: int, estimate: Floats) -> None:
            shows = "preview" in models
            preview = await draw_preview(self.host, models["preview"], estimate, aspect) if shows else b""
            await self.report(step, preview)

        sampler = make_sampler(self.request.settings["SAMPLER"], self.steps)
        latent = self.noise.draw(0, composite.shape) * np.float32(sampler.initial_scale)
        conditions = {"LATENT_MASK": latent_mask(mask), "COMPOSITE_LATENT": composite}
        return await denoise(self.host, models["unet"], sampler, latent, conditions, self.noise, on_step=tell)


def _compose(image: DecodedImage, mask: Pixels, square: Square, result: Floats) -> bytes:
    """The network's result at full size, as PNG."""
    return encode_png(transfer(image.pixels, mask, square.composite, square.mask, result), image.icc_profile)
