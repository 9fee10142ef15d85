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
from concord.prompts import ALL_OVER, IN_CORNER, Fit, doubtful, fitted, full_mask, prompts, ranked, sure

LOGITS, SCORES = "MASK_LOGITS", "SCORES"


class SegmentAnything(Loop):
    """Points and a box to masks, the best first.

    Attributes:
        embedded: the encoder's outputs, which are the decoder's inputs beside the prompts.
        fit: where in the encoder's square the picture lies.
        embeddings: kept among the requests of one model.
    """

    embedded: ClassVar[tuple[str, ...]] = ("EMBEDDING",)
    fit: ClassVar[Fit] = IN_CORNER

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
        asked = dict(zip(("PROMPTS", "LABELS"), prompts(clicks, self.fit, *pixels.shape[:2]), strict=True))
        decoder = self.request.models["decoder"]
        [found] = await ask_networks(self.host, decoder, [{**embedding, **asked}], (LOGITS, SCORES), "decoding")
        logits, scores = found[LOGITS], found[SCORES]
        wanted = list(range(1, len(scores))) if doubtful(clicks) else [self.sure(logits, scores)]
        return await self.host.compute(_answer, logits[wanted], scores[wanted], pixels, self.fit)

    def sure(self, _logits: Floats, _scores: Floats) -> int:
        """Which of the masks answers where there is no doubt."""
        return 0

    def square(self, pixels: Pixels) -> Sample:
        """What the encoder is asked with."""
        square, size = fitted(pixels, self.fit)
        return {"SQUARE": square, "SQUARE_SIZE": size}

    async def _encode(self, pixels: Pixels) -> Embedding:
        sample = await self.host.compute(self.square, pixels)
        [answer] = await ask_networks(self.host, self.request.models["encoder"], [sample], self.embedded, "encoding")
        return answer


class SegmentAnything2(SegmentAnything):
    """SAM 2's: the picture fills the square, and one mask that is not sure of itself gives way to the best of three."""

    embedded = ("EMBEDDING", "FEATURES_8", "FEATURES_4")
    fit = ALL_OVER

    def sure(self, logits: Floats, scores: Floats) -> int:
        return sure(logits, scores)

    def square(self, pixels: Pixels) -> Sample:
        return {"SQUARE": fitted(pixels, self.fit)[0]}


def _answer(logits: Floats, scores: Floats, pixels: Pixels, fit: Fit) -> Sample:
    """The masks as PNG, and what IoU the network expects of them."""
    order = ranked(scores.tolist())
    masks = [encode_mask(full_mask(logits[number], pixels, fit)) for number in order]
    return {"MASKS": np.array(masks, object), "SCORES": np.clip(scores[order], 0, 1).astype(np.float32)}
