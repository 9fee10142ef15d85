from collections.abc import Collection

import numpy as np

from concord.adapter import Sample, SampleModel
from concord.letterbox import mask_from_logits
from concord.masks import pack_mask
from concord.squash import squash_mask


class TritonPythonModel(SampleModel):
    """CRIS's logits to a binary mask of the image's size, and to that of a harmonizer."""

    def answer(self, sample: Sample, requested: Collection[str]) -> Sample:
        height, width = map(int, sample["SIZE"])
        mask, score = mask_from_logits(sample["LOGITS"], height, width)
        answer = {"FOUND_BITS": pack_mask(mask), "SCORE": np.array([score], np.float32)}
        if "COMPOSITE_MASK" in requested:
            answer["COMPOSITE_MASK"] = squash_mask(mask)
        return answer
