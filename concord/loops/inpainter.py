"""What the loops have in common that fill a hole."""

from typing import ClassVar

from concord.arrays import Floats, Pixels
from concord.finish import Finish
from concord.hole import HoleWindow, check_hole
from concord.images import DecodedImage, decode_image
from concord.loops.host import Sample
from concord.loops.loop import Loop
from concord.masks import decode_mask


class Inpainter(Loop):
    """Has a network draw the window around a hole, and puts what lies in the hole into the photograph.

    Inputs: IMAGE and MASK, white where the hole is. Output: INPAINTED, a PNG. Settings: RESOLUTION, BLEND and OUTPUT.

    Attributes:
        multiple: of which both sides are that the network takes.
        deep: see `HoleWindow.filled`.
    """

    multiple: ClassVar[int]
    deep: ClassVar[bool] = False
    faster = "a smaller RESOLUTION"

    async def answer(self) -> Sample:
        """See `Loop`."""
        settings = self.request.settings
        image = await self.host.compute(decode_image, await self.cheap_file("IMAGE"), self.limits)
        size = image.pixels.shape[:2]
        mask = await self.host.compute(decode_mask, await self.cheap_file("MASK"), *size, self.limits)
        check_hole(mask)
        filled = image.pixels
        if mask.any():
            window = HoleWindow.around(mask, settings["RESOLUTION"], self.multiple)
            picture, hole = await self.host.compute(window.seen, image.pixels, mask)
            drawn = await self.draw(picture, hole)
            filled = await self.host.compute(_filled, window, image, mask, drawn, settings["BLEND"], self.deep)
        finish = Finish.of(settings)
        return {"INPAINTED": await self.host.compute(finish.encoded, image.pixels, filled, image.icc_profile)}

    async def draw(self, picture: Pixels, hole: Pixels) -> Floats:
        """The whole window, fp32 [3, h, w], nominally 0..1.

        Args:
            picture: uint8 [h, w, 3] RGB; what it holds in the hole is not to be used.
            hole: uint8 [h, w] of 0 and 1.
        """
        raise NotImplementedError


def _filled(window: HoleWindow, image: DecodedImage, mask: Pixels, drawn: Floats, blend: bool, deep: bool) -> Pixels:
    return window.filled(image.pixels, mask, drawn, blend=blend, deep=deep)
