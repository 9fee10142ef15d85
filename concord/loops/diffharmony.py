"""Harmonization by latent diffusion (DiffHarmony, Zhou et al. 2024)."""

import numpy as np

from concord.edges import EDGES, SOFT, Part
from concord.errors import InvalidSetting
from concord.images import DecodedImage
from concord.limits import Limits
from concord.loops.host import Host, Sample
from concord.loops.latent_harmonizer import LatentHarmonizer, Square
from concord.loops.request import LoopRequest
from concord.masks import binary, decode_grey, decode_mask
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
        part, found = await self._part(image)
        mask = part.mask
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
        return {**found, "HARMONIZED": await self.compose(image, part, square, result)}

    async def _part(self, image: DecodedImage) -> tuple[Part, Sample]:
        """The part, and what was found where a text names it."""
        inputs, size = self.request.inputs, image.pixels.shape[:2]
        if "MASK" in inputs:
            mask = await self.host.compute(decode_mask, await self.cheap_file("MASK"), *size, self.limits)
            await self.report(0)
            return await self.part(image, mask, found=False), {}
        await self.report(0)
        edges = self.request.settings[EDGES]
        asked = {"IMAGE": inputs["IMAGE"], "TEXT": inputs["TEXT"], EDGES: edges.encode()}
        found = await self.host.ask(self.request.models["segment"], asked, ("MASK", "SCORE", "TRUNCATED"))
        # Fitted already; grey where it is soft.
        grey = await self.host.compute(decode_grey, found["MASK"], *size, self.limits)
        return Part(binary(grey), grey if edges == SOFT else None), found
