"""The loop of the Segment Anything networks: the picture is encoded once, and every question about it is decoded."""

from typing import ClassVar

import numpy as np

from concord.arrays import Floats, Pixels
from concord.clicks import Clicks
from concord.images import decode_image
from concord.limits import Limits
from concord.loops.embeddings import Embedding, Embeddings
from concord.loops.host import Host, Sample, ask_networks
from concord.loops.loop import Loop
from concord.loops.request import LoopRequest
from concord.masks import encode_mask
from concord.prompts import candidates, fitted, full_mask, prompts, ranked

LOGITS, SCORES = "MASK_LOGITS", "SCORES"


class SegmentAnything(Loop):
    """Points and a box to masks, the best first.

    Attributes:
        embedded: the encoder's outputs, which are the decoder's inputs beside the prompts.
        embeddings: kept among the requests of one model.
    """

    embedded: ClassVar[tuple[str, ...]] = ("EMBEDDING",)

    def __init__(self, request: LoopRequest, host: Host, limits: Limits, embeddings: Embeddings) -> None:
        super().__init__(request, host, limits)
        self.embeddings = embeddings

    async def answer(self) -> Sample:
        inputs = self.request.inputs
        image = await self.cheap_file("IMAGE")
        pixels = (await self.host.compute(decode_image, image, self.limits)).pixels
        points, box = (inputs.get(name, ()) for name in ("POINTS", "BOX"))
        clicks = Clicks.read(points, box, *pixels.shape[:2])
        embedding = await self.embeddings.of(inputs["IMAGE"], lambda: self._encode(pixels))
        asked = dict(zip(("PROMPTS", "LABELS"), prompts(clicks, *pixels.shape[:2]), strict=True))
        decoder = self.request.models["decoder"]
        [found] = await ask_networks(self.host, decoder, [{**embedding, **asked}], (LOGITS, SCORES), "decoding")
        wanted = candidates(clicks)
        return await self.host.compute(_answer, found[LOGITS][wanted], found[SCORES][wanted], pixels)

    async def _encode(self, pixels: Pixels) -> Embedding:
        square, size = await self.host.compute(fitted, pixels)
        sample = {"SQUARE": square, "SQUARE_SIZE": size}
        [answer] = await ask_networks(self.host, self.request.models["encoder"], [sample], self.embedded, "encoding")
        return answer


def _answer(logits: Floats, scores: Floats, pixels: Pixels) -> Sample:
    """The masks as PNG, and what IoU the network expects of them."""
    order = ranked(scores.tolist())
    masks = [encode_mask(full_mask(logits[number], pixels)) for number in order]
    return {"MASKS": np.array(masks, object), "SCORES": np.clip(scores[order], 0, 1).astype(np.float32)}
