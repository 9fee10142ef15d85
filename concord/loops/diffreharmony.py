"""Harmonization by latent diffusion that finds the foreground by a text itself (DiffReHarmony)."""

from collections.abc import Sequence
from functools import cache

import numpy as np

from concord.arrays import Floats, Pixels, sigmoid
from concord.loops.host import Sample
from concord.loops.latent_harmonizer import LatentHarmonizer, Square
from concord.loops.text_conditions import GUIDANCE, Tokens, token_conditions
from concord.masks import encode_mask, mask_from_probabilities
from concord.squash import squash_image, squash_mask
from concord.tokenizer import EMPTY_PROMPT, Tokenizer

_tokenizer = cache(Tokenizer.load)  # one a process


class DiffReHarmony(LatentHarmonizer):
    """Denoises a latent beside the composite's own and a text; the network says at each call where the foreground is.

    Inputs: IMAGE and TEXT. Settings, besides those of `LatentHarmonizer`: MASK_FROM, ``last`` or ``mean`` of the calls,
    and GUIDANCE. Outputs: HARMONIZED and MASK, PNGs; SCORE and TRUNCATED, as of the ensemble ``segment``.

    Part, besides those of `LatentHarmonizer`: ``text_encoder``.
    """

    async def answer(self) -> Sample:
        """See `Loop`."""
        settings = self.request.settings
        image = await self.image()
        tokens, truncated = await self.host.compute(_tokens, self.request.inputs["TEXT"])
        await self.report(0)
        states, guidance = await token_conditions(
            self.host, self.request.models["text_encoder"], tokens, EMPTY_PROMPT, settings[GUIDANCE]
        )
        pixels = await self.host.compute(squash_image, image.pixels, settings["RESOLUTION"])
        composite = await self.encode(pixels)
        logits: list[Floats] = []
        latent = await self.denoise(composite, states, image, {"MASK_LOGITS": logits}, guidance)
        told = logits if settings["MASK_FROM"] == "mean" else logits[-1:]
        mask, score = await self.host.compute(_found, told, *image.pixels.shape[:2])
        part = await self.part(image, mask, found=True)
        found = {
            "MASK": await self.host.compute(encode_mask, part.shown),
            "SCORE": np.array([score], np.float32),
            "TRUNCATED": np.array([truncated]),
        }
        if not part.mask.any():
            return {**found, "HARMONIZED": await self.unchanged(image)}
        square = Square(pixels, await self.host.compute(squash_mask, part.mask, len(pixels)))
        square, result = await self.decode(composite, latent, square)
        return {**found, "HARMONIZED": await self.compose(image, part, square, result)}


def _tokens(text: bytes) -> tuple[Tokens, bool]:
    return _tokenizer().prompt(text)


def _found(logits: Sequence[Floats], height: int, width: int) -> tuple[Pixels, float]:
    """The mask, uint8 [H, W] of 0 and 255, of the mean of the calls' logits fp32 [1, h, w], and its score."""
    return mask_from_probabilities(np.mean([sigmoid(each[0]) for each in logits], axis=0), height, width)
