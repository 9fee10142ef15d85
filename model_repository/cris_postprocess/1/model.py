from collections.abc import Collection

import numpy as np

from concord.adapter import Sample, SampleModel
from concord.letterbox import mask_from_logits
from concord.masks import encode_mask


class TritonPythonModel(SampleModel):
    """CRIS's logits to a binary mask of the image's size, as pixels and as PNG."""

    def answer(self, sample: Sample, requested: Collection[str]) -> Sample:
        height, width = map(int, sample["SIZE"])
        mask, score = mask_from_logits(sample["LOGITS"], height, width)
        answer = {"MASK_PIXELS": mask, "SCORE": np.array([score], np.float32)}
        if "MASK" in requested:
            answer["MASK"] = encode_mask(mask)
        return answer
