"""Painterly harmonization by latent diffusion (PHDiffusion, Lu et al. 2023)."""

import numpy as np
from PIL import Image

from concord.arrays import Floats
from concord.edges import Part
from concord.finish import Finish
from concord.frame import Frame, painted
from concord.images import DecodedImage
from concord.limits import Limits
from concord.loops.host import Host, Sample, ask_networks
from concord.loops.latent import denoise
from concord.loops.latent_harmonizer import Square
from concord.loops.part_harmonizer import PartHarmonizer
from concord.loops.request import LoopRequest
from concord.samplers import make_sampler
from concord.squash import latent_mask, squash_image, squash_mask

FRAME = "FRAME"
AROUND, WHOLE, PUBLISHED = "around", "whole", "published"
_FEATURES = tuple(f"FEATURE_{level}" for level in range(4))
_ROUNDING = 1e-4  # of a share that came as fp32


class PhDiffusion(PartHarmonizer):
    """Repaints the part in the strokes of the painting around it, from a noised latent of the composite.

    An adapter is asked once for features of the composite, which the network at every step is told. Before each of its
    calls the latent outside the mask is the composite's own again, with fresh noise.

    Inputs and outputs are those of `PartHarmonizer`. Settings, besides its own: DEPTH, the share of the STEPS that are
    made, and FRAME, ``around``, ``whole`` or ``published``. Part, besides its own: ``adapter``.
    """

    def __init__(self, request: LoopRequest, host: Host, limits: Limits) -> None:
        super().__init__(request, host, limits)
        self._whole_way = self.steps
        self.steps = max(1, int(request.settings["DEPTH"] * self._whole_way + _ROUNDING))

    async def answer(self) -> Sample:
        """See `Loop`."""
        image = await self.image()
        part, found = await self.given_part(image)
        if not part.mask.any():
            return {**found, "HARMONIZED": await self.unchanged(image)}
        frame = self._frame(part)
        square = await self.host.compute(_squashed, image, part, frame, self.request.settings["RESOLUTION"])
        composite = await self.encode(square.composite)
        result = await self.ask("decoder", {"LATENT": await self._repainted(composite, square, frame)}, "decoding")
        return {**found, "HARMONIZED": await self._composed(image, part, frame, result)}

    def _frame(self, part: Part) -> Frame:
        settings = self.request.settings
        if settings[FRAME] == AROUND:
            return Frame.around(part.shown, settings["RESOLUTION"])
        return Frame.whole(*part.mask.shape)

    async def _repainted(self, composite: Floats, square: Square, frame: Frame) -> Floats:
        """The latent, fp32 [4, S/8, S/8], from the composite's."""
        models, settings = self.request.models, self.request.settings
        [features] = await ask_networks(
            self.host, models["adapter"], [square.tensors()], _FEATURES, "reading the composite"
        )
        mask = latent_mask(square.mask)
        sampler = make_sampler(settings["SAMPLER"], self._whole_way, self._whole_way - self.steps)

        def with_background(latent: Floats, call: int) -> Floats:
            background = sampler.noised(composite, self.noise.draw(call + 1, composite.shape), call)
            return np.where(mask > 0, latent, background)

        return await denoise(
            self.host,
            models["unet"],
            sampler,
            sampler.noised(composite, self.noise.draw(0, composite.shape), 0),
            {"LATENT_MASK": mask, **features},
            self.noise,
            before=with_background,
            on_step=self.telling(*frame.size),
        )

    async def _composed(self, image: DecodedImage, part: Part, frame: Frame, result: Floats) -> bytes:
        if self.request.settings[FRAME] == PUBLISHED:
            part = Part(np.full_like(part.mask, 255))
        return await self.host.compute(_finished, image, part, frame, result, Finish.of(self.request.settings))


def _squashed(image: DecodedImage, part: Part, frame: Frame, size: int) -> Square:
    """As published, sharper than photographs are squashed elsewhere."""
    composite = squash_image(frame.of(image.pixels), size, Image.Resampling.LANCZOS)
    return Square(composite, squash_mask(frame.of(part.mask), size))


def _finished(image: DecodedImage, part: Part, frame: Frame, result: Floats, finish: Finish) -> bytes:
    after = painted(image.pixels, part.mask, frame, result, opacity=part.alpha, strength=finish.strength)
    return finish.encoded(image.pixels, after, image.icc_profile)
