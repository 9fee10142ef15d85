from collections.abc import Collection

from concord.adapter import Sample, SampleModel
from concord.squash import squash_image, squash_mask


class TritonPythonModel(SampleModel):
    """Pixels and mask to the squares that harmonizers read."""

    def answer(self, sample: Sample, requested: Collection[str]) -> Sample:
        return {
            "COMPOSITE": squash_image(sample["PIXELS"]),
            "COMPOSITE_MASK": squash_mask(sample["MASK_PIXELS"]),
        }
