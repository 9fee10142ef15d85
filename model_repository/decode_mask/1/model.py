from collections.abc import Collection

from concord.adapter import Sample, SampleModel
from concord.limits import Limits
from concord.masks import decode_mask


class TritonPythonModel(SampleModel):
    """Encoded mask to binary pixels of the image's size."""

    def load(self) -> None:
        self._limits = Limits.from_environment()

    def answer(self, sample: Sample, requested: Collection[str]) -> Sample:
        height, width = map(int, sample["SIZE"])
        return {"MASK_PIXELS": decode_mask(sample["MASK"], height, width, self._limits)}
