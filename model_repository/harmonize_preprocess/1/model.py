from concord.adapter import SampleModel
from concord.squash import squash_image, squash_mask


class TritonPythonModel(SampleModel):
    """Pixels and mask to the squares that harmonizers read."""

    def answer(self, sample, requested):
        return {
            "COMPOSITE": squash_image(sample["PIXELS"]),
            "COMPOSITE_MASK": squash_mask(sample["MASK_PIXELS"]),
        }
