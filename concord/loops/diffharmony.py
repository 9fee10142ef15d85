"""Harmonization by latent diffusion (DiffHarmony, Zhou et al. 2024)."""

import numpy as np

from concord.loops.host import Sample
from concord.loops.latent_harmonizer import Square
from concord.loops.part_harmonizer import PartHarmonizer
from concord.squash import SMALL_SIZE, latent_mask, squash_result

# The published refinement network was trained on squares of this side, whatever the diffusion worked on.
_REFINEMENT_SIZE = SMALL_SIZE


class DiffHarmony(PartHarmonizer):
    """Denoises a latent beside the composite's own and its mask.

    Inputs and outputs are those of `PartHarmonizer`. Parts, besides its own, if the request needs them:
    ``refinement``, and in place of ``decoder`` ``harmony_decoder``.
    """

    async def answer(self) -> Sample:
        """See `Loop`."""
        models = self.request.models
        image = await self.image()
        part, found = await self.given_part(image)
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
