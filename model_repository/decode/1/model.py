from collections.abc import Collection

import numpy as np

from concord.adapter import Sample, SampleModel
from concord.images import decode_image
from concord.letterbox import letterbox
from concord.limits import Limits
from concord.squash import squash_image


class TritonPythonModel(SampleModel):
    """Encoded image to pixels, upright, with its colour profile, and to the squares that networks read.

    The squares are made here, so that the pixels need not be copied to the process of another model for them.
    """

    def load(self) -> None:
        self._limits = Limits.from_environment()

    def answer(self, sample: Sample, requested: Collection[str]) -> Sample:
        image = decode_image(sample["IMAGE"], self._limits)
        answer = {
            "PIXELS": image.pixels,
            "SIZE": np.array(image.pixels.shape[:2], np.int32),
            "ICC_PROFILE": image.icc_profile,
        }
        for name, square in (("CRIS_IMAGE", letterbox), ("COMPOSITE", squash_image)):
            if name in requested:
                answer[name] = square(image.pixels)
        return answer
