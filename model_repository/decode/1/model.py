from collections.abc import Collection

import numpy as np

from concord.adapter import Sample, SampleModel
from concord.images import decode_image
from concord.limits import Limits


class TritonPythonModel(SampleModel):
    """Encoded image to pixels, upright, with its colour profile beside them."""

    def load(self) -> None:
        self._limits = Limits.from_environment()

    def answer(self, sample: Sample, requested: Collection[str]) -> Sample:
        image = decode_image(sample["IMAGE"], self._limits)
        return {
            "PIXELS": image.pixels,
            "SIZE": np.array(image.pixels.shape[:2], np.int32),
            "ICC_PROFILE": image.icc_profile,
        }
