from collections.abc import Collection

from concord.adapter import Sample, SampleModel
from concord.edges import AUTO, EDGES, part
from concord.limits import Limits
from concord.masks import decode_mask, pack_mask
from concord.squash import squash_mask


class TritonPythonModel(SampleModel):
    """Encoded mask to binary mask of the image's size, with the edge that is asked for, and to a harmonizer's."""

    def load(self) -> None:
        self._limits = Limits.from_environment()

    def answer(self, sample: Sample, requested: Collection[str]) -> Sample:
        pixels = sample["PIXELS"]
        height, width = pixels.shape[:2]
        mask = decode_mask(sample["MASK"], height, width, self._limits)
        given = part(pixels, mask, sample.get(EDGES, AUTO), found=False)
        return {
            "MASK_BITS": pack_mask(given.mask),
            "MATTE": given.matte,
            "COMPOSITE_MASK": squash_mask(given.mask),
        }
