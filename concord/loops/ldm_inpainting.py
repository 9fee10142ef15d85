"""The loop of latent diffusion's inpainting model (Rombach et al. 2022): a hole is drawn beside what is around it."""

import numpy as np

from concord.arrays import Floats, Pixels
from concord.loops.host import ask_network
from concord.loops.inpainter import Inpainter
from concord.loops.latent import denoise
from concord.samplers.ddim import Ddim
from concord.samplers.schedule import Schedule

CHANNELS = 3
STRIDE = 4
"""Pixels to one of the latent's."""
SCHEDULE = Schedule(0.0015, 0.0205)


class LdmInpainting(Inpainter):
    """Settings, besides those of `Inpainter`: SEED and STEPS. Parts: ``encoder``, ``unet`` and ``decoder``."""

    multiple = 16 * STRIDE
    faster = "fewer STEPS or a smaller RESOLUTION"

    async def draw(self, picture: Pixels, hole: Pixels) -> Floats:
        """See `Inpainter`."""
        models = self.request.models
        await self.report(0)
        given = {"PICTURE": picture, "HOLE": whole_cells(hole)}
        condition = await ask_network(self.host, models["encoder"], given, "CONDITION", "encoding the picture")
        latent = await denoise(
            self.host,
            models["unet"],
            Ddim(self.steps, schedule=SCHEDULE),
            self.noise.draw(0, (CHANNELS, *condition.shape[1:])),
            {"CONDITION": condition},
            self.noise,
            on_step=self._tell,
        )
        return await ask_network(self.host, models["decoder"], {"LATENT": latent}, "DRAWN", "decoding")

    async def _tell(self, step: int, _estimate: Floats) -> None:
        await self.report(step)


def whole_cells(hole: Pixels) -> Pixels:
    """A hole, uint8 [h, w] of 0 and 1, made of whole pixels of the latent: all that some of it lies in.

    The published code looks at the first pixel of each alone, so that the latent's network would keep the rest of a
    thin hole, in which the picture is black.
    """
    cells = hole.reshape(hole.shape[0] // STRIDE, STRIDE, hole.shape[1] // STRIDE, STRIDE).max(axis=(1, 3))
    return np.repeat(np.repeat(cells, STRIDE, axis=0), STRIDE, axis=1)
