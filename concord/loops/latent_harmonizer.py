"""What the loops have in common that harmonize a square of the photograph in latent space."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from concord.arrays import Floats, Pixels
from concord.edges import EDGES, Part, part
from concord.finish import Finish
from concord.images import DecodedImage, decode_image
from concord.loops.host import Sample
from concord.loops.latent import Guidance, denoise, preview_view
from concord.loops.latent_loop import LatentLoop
from concord.loops.window import Window
from concord.samplers import make_sampler
from concord.squash import squash_image, squash_mask
from concord.transfer import transfer


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


class LatentHarmonizer(LatentLoop):
    """Encodes the square, denoises beside its latent, decodes, and transfers the change to the photograph.

    Input: IMAGE. Settings: SEED, STEPS, SAMPLER, RESOLUTION, WINDOW, EDGES, STRENGTH and OUTPUT. Parts: ``encoder``,
    ``unet`` and ``decoder``; if the request needs them ``preview``, and in place of the first and the last
    ``tiny_encoder``, and ``tiny_decoder`` or ``linear_decoder``.
    """

    async def image(self) -> DecodedImage:
        """The photograph."""
        return await self.host.compute(decode_image, await self.cheap_file("IMAGE"), self.limits)

    async def encode(self, composite: Pixels) -> Floats:
        """The latent, fp32 [4, S/8, S/8], of a square uint8 [S, S, 3]."""
        encoder = "tiny_encoder" if "tiny_encoder" in self.request.models else "encoder"
        return await self.ask(encoder, {"COMPOSITE": composite}, "encoding the composite", "COMPOSITE_LATENT")

    async def denoise(
        self,
        composite: Floats,
        conditions: Sample,
        image: DecodedImage,
        kept: dict[str, list[Floats]] | None = None,
        guidance: Guidance | None = None,
    ) -> Floats:
        """The harmonized latent, fp32 [4, S/8, S/8], from the composite's; the rest is as in `latent.denoise`."""
        sampler = make_sampler(self.request.settings["SAMPLER"], self.steps)
        latent = self.noise.draw(0, composite.shape) * np.float32(sampler.initial_scale)
        asked = {"COMPOSITE_LATENT": composite, **conditions}
        return await denoise(
            self.host,
            self.request.models["unet"],
            sampler,
            latent,
            asked,
            self.noise,
            kept=kept,
            guidance=guidance,
            on_step=self.telling(*image.pixels.shape[:2]),
        )

    async def decode(
        self, composite: Floats, latent: Floats, square: Square, whole: bool = False
    ) -> tuple[Square, Floats]:
        """The picture of a latent, and the square that it is the change of.

        fp32 [3, S, S] with NaN where it was not asked for, far from the mask. ``linear_decoder`` draws the composite's
        latent, too, so that both are as coarse.
        """
        models = self.request.models
        if "linear_decoder" in models:
            before, after = [await self._drawn(models["linear_decoder"], each) for each in (composite, latent)]
            small, mask, result = await self.host.compute(preview_view, before, after, square.mask)
            return Square(small, mask), result
        decoder = "tiny_decoder" if "tiny_decoder" in models else "decoder"
        if whole or not self.request.settings["WINDOW"]:
            return square, await self.ask(decoder, {"LATENT": latent}, "decoding")
        window = Window.around(square.mask)
        result = await self.ask(decoder, {"LATENT": window.of(latent)}, "decoding")
        return square, await self.host.compute(window.placed, result, len(square.mask))

    async def _drawn(self, model: str, latent: Floats) -> Pixels:
        drawn: Pixels = (await self.host.ask(model, {"LATENT": latent}, ("PREVIEW",)))["PREVIEW"]
        return drawn

    async def unchanged(self, image: DecodedImage) -> bytes:
        """The photograph as it is, or an empty layer, as PNG."""
        finish = Finish.of(self.request.settings)
        return await self.host.compute(finish.encoded, image.pixels, image.pixels, image.icc_profile)

    async def part(self, image: DecodedImage, mask: Pixels, *, found: bool) -> Part:
        """The part of a mask, uint8 [H, W] of 0 and 255, with the edge that is asked for."""
        return await self.host.compute(partial(part, found=found), image.pixels, mask, self.request.settings[EDGES])

    async def compose(self, image: DecodedImage, part: Part, square: Square, result: Floats) -> bytes:
        """The result fp32 [3, S, S] at full size, inside the part, or a layer of what changed, as PNG."""
        return await self.host.compute(_composed, image, part, square, result, Finish.of(self.request.settings))


def _composed(image: DecodedImage, part: Part, square: Square, result: Floats, finish: Finish) -> bytes:
    composed = transfer(
        image.pixels,
        part.mask,
        square.composite,
        square.mask,
        result,
        opacity=part.alpha,
        strength=finish.strength,
    )
    return finish.encoded(image.pixels, composed, image.icc_profile)
