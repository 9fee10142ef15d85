"""Harmonization by latent diffusion (DiffHarmony, Zhou et al. 2024)."""

import numpy as np

from concord.arrays import Pixels
from concord.errors import InvalidSetting
from concord.images import DecodedImage
from concord.limits import Limits
from concord.loops.host import Host, Sample
from concord.loops.latent_harmonizer import LatentHarmonizer, Square
from concord.loops.request import LoopRequest
from concord.masks import decode_mask
from concord.squash import SMALL_SIZE, latent_mask, squash_result

# The published refinement network was trained on squares of this side, whatever the diffusion worked on.
_REFINEMENT_SIZE = SMALL_SIZE


class DiffHarmony(LatentHarmonizer):
    """Denoises a latent beside the composite's own and its mask.

    Inputs: IMAGE, and one of MASK and TEXT. Outputs: HARMONIZED, a PNG; for a text also what the part ``segment``
    found: MASK, SCORE and TRUNCATED.

    Parts, besides those of `LatentHarmonizer`, if the request needs them: ``segment``, ``refinement``, and in place of
    ``decoder`` ``harmony_decoder``.
    """

    def __init__(self, request: LoopRequest, host: Host, limits: Limits) -> None:
        super().__init__(request, host, limits)
        given = [name for name in ("MASK", "TEXT") if name in request.inputs]
        if len(given) != 1:
            found = "both MASK and TEXT are given" if given else "neither MASK nor TEXT is given"
            raise InvalidSetting("MASK", found, "exactly one of MASK and TEXT")

    async def answer(self) -> Sample:
        """See `Loop`."""
        models = self.request.models
        image = await self.image()
        mask, found = await self._mask(image)
        if not mask.any():
            return {**found, "HARMONIZED": await self.unchanged(image)}
        square = await self.host.compute(Square.of, image.pixels, mask, self.request.settings["RESOLUTION"])
        composite = await self.encode(square.composite)
        latent = await self.denoise(composite, {"LATENT_MASK": latent_mask(square.mask)}, image)
        if "harmony_decoder" in models:
            result = await self.ask("harmony_decoder", {"LATENT": latent} | square.tensors(), "decoding")
        else:
            square, result = await self.decode(composite, latent, square, whole="refinement" in models)
        if "refinement" in models:
            square = await self.host.compute(Square.of, image.pixels, mask, _REFINEMENT_SIZE)
            small = await self.host.compute(squash_result, np.clip(result, 0, 1), _REFINEMENT_SIZE)
            result = await self.ask("refinement", {"RESULT": small} | square.tensors(), "refining")
        return {**found, "HARMONIZED": await self.compose(image, mask, square, result)}

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
