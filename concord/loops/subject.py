"""The loop of IS-Net: a photograph to the mask of its subject."""

import numpy as np

from concord.images import decode_image
from concord.loops.host import Sample, ask_network
from concord.loops.loop import Loop
from concord.masks import encode_mask
from concord.squash import squash_image
from concord.subject import SIDE, subject_mask


class Subject(Loop):
    """An image to one mask and its score."""

    async def answer(self) -> Sample:
        image = await self.cheap_file("IMAGE")
        pixels = (await self.host.compute(decode_image, image, self.limits)).pixels
        square = await self.host.compute(squash_image, pixels, SIDE)
        found = await ask_network(self.host, self.request.models["network"], {"SQUARE": square}, "SUBJECT", "looking")
        mask, score = await self.host.compute(subject_mask, found, pixels)
        png = await self.host.compute(encode_mask, mask)
        return {"MASKS": np.array([png], object), "SCORES": np.array([score], np.float32)}
