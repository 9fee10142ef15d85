"""The loop of latent diffusion's super-resolution model (Rombach et al. 2022): a picture four times as large."""

import asyncio

import numpy as np

from concord.arrays import Floats, Pixels, as_pixels, as_signed
from concord.enlargement import check_enlarged, padded, with_alpha
from concord.images import DecodedImage, decode_image
from concord.limits import Limits
from concord.loops.host import Host, Sample, ask_network
from concord.loops.latent import denoise
from concord.loops.loop import Loop
from concord.loops.request import LoopRequest
from concord.loops.windows import WindowHost
from concord.png import encode_png
from concord.samplers.ddim import Ddim
from concord.samplers.schedule import Schedule
from concord.tiles import Blend, Tiles
from concord_client.tasks.upscale import Upscale

CHANNELS = 3
FACTOR = Upscale.SCALE
WINDOW = 128
"""Side, in pixels of the photograph, of the largest window that its networks are asked for."""
UNIT = 16
"""Of which the sides of smaller ones are multiples."""
LEAST = 32
"""Side of the smallest one."""
BATCH = 4
"""Windows of one request in a batch."""


class LdmSr(Loop):
    """Draws the picture whose smaller version the photograph is, window by window, blended at every step.

    Windows, weights and steps are those of the published patch mode, in which a photograph of up to 128 x 128 pixels is
    one window. The photograph itself is beside the latent, which has its size.

    Input: IMAGE. Output: UPSCALED, a PNG. Settings: SEED and STEPS. Parts: ``unet`` and ``decoder``. What is counted as
    a step is one of one window, and at the end that a window is decoded.
    """

    faster = "fewer STEPS or a smaller photograph"

    def __init__(self, request: LoopRequest, host: Host, limits: Limits) -> None:
        super().__init__(request, host, limits)
        self._denoising = self.steps

    async def answer(self) -> Sample:
        """See `Loop`."""
        await asyncio.to_thread(check_enlarged, self.request.inputs["IMAGE"], FACTOR, self.limits)
        image = await self.host.compute(decode_image, await self.cheap_file("IMAGE"), self.limits)
        colours = await self.enlarged(image.pixels)
        return {"UPSCALED": await self.host.compute(_encoded, colours, image)}

    async def enlarged(self, pixels: Pixels) -> Pixels:
        """Colours uint8 [4H, 4W, 3] from a photograph's pixels uint8 [H, W, 3 or 4]."""
        height, width = pixels.shape[:2]
        sides = _side(height), _side(width)
        tiles = Tiles.over(*sides, WINDOW)
        self.steps = len(tiles) * (self._denoising + 1)
        await self.report(0)
        picture = await self.host.compute(lambda: padded(as_signed(pixels), sides))
        latent = await denoise(
            WindowHost(self.host, tiles, BATCH, self._tell),
            self.request.models["unet"],
            sampler_of(self._denoising),
            self.noise.draw(0, picture.shape),
            {"LOW_RES": picture},
            self.noise,
        )
        return (await self._decoded(latent, tiles))[: FACTOR * height, : FACTOR * width]

    async def _decoded(self, latent: Floats, tiles: Tiles) -> Pixels:
        """The picture uint8 [4h, 4w, 3] of a latent fp32 [3, h, w]; rows are pixels as soon as they are done."""
        blend, bands = Blend(tiles, FACTOR), []
        for number in range(len(tiles.tops)):
            drawn = []
            for window in tiles.row(number, latent):
                decoder, given = self.request.models["decoder"], {"LATENT": window}
                drawn.append(await ask_network(self.host, decoder, given, "DRAWN", "decoding"))
                await self._tell(1)
            bands.append(await self.host.compute(_band, blend, number, drawn))
        return np.concatenate(bands)

    async def _tell(self, windows: int) -> None:
        await self.report(self._done + windows)


def sampler_of(steps: int) -> Ddim:
    """The sampler, for one request, of the published script and schedule."""
    return Ddim(steps, schedule=Schedule(0.0015, 0.0155), eta=1.0)


def _side(length: int) -> int:
    """Pixels of a side that the networks are given for one of the photograph's."""
    return length if length >= WINDOW else max(LEAST, -(-length // UNIT) * UNIT)


def _band(blend: Blend, number: int, drawn: list[Floats]) -> Pixels:
    return as_pixels(np.moveaxis(blend.rows(number, drawn), 0, 2))


def _encoded(colours: Pixels, image: DecodedImage) -> bytes:
    return encode_png(with_alpha(colours, image.pixels), image.icc_profile)
