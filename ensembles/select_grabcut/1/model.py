from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from concord.adapter import Sample, SampleModel
from concord.clicks import Clicks
from concord.images import decode_image
from concord.limits import Limits
from concord.masks import encode_mask
from concord.selection import select


class TritonPythonModel(SampleModel):
    """Encoded image, points and box to masks, the best first.

    It decodes the image itself: its pixels would have to be copied from another model's process.
    """

    def load(self) -> None:
        self._limits = Limits.from_environment()

    def answer(self, sample: Sample, requested: Collection[str]) -> Sample:
        pixels = decode_image(sample["IMAGE"], self._limits).pixels
        points, box = (sample.get(name, np.empty(0)).tolist() for name in ("POINTS", "BOX"))
        found = select(pixels, Clicks.read(points, box, *pixels.shape[:2]))
        answer: dict[str, object] = {"SCORES": np.array([each.score for each in found], np.float32)}
        if "MASKS" in requested:
            with ThreadPoolExecutor(len(found)) as threads:
                answer["MASKS"] = list(threads.map(encode_mask, [each.mask for each in found]))
        return answer
