from collections.abc import Collection

from concord.adapter import Sample, SampleModel
from concord.limits import Limits
from concord.masks import decode_mask, pack_mask
from concord.squash import squash_mask


class TritonPythonModel(SampleModel):
    """Encoded mask to binary mask of the image's size, and to a harmonizer's."""

    def load(self) -> None:
        self._limits = Limits.from_environment()

    def answer(self, sample: Sample, requested: Collection[str]) -> Sample:
        height, width = map(int, sample["SIZE"])
        mask = decode_mask(sample["MASK"], height, width, self._limits)
        return {"MASK_BITS": pack_mask(mask), "COMPOSITE_MASK": squash_mask(mask)}
