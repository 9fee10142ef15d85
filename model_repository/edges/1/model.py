from collections.abc import Collection
from typing import Any

from concord.adapter import Sample, SampleModel
from concord.edges import AUTO, EDGES, part
from concord.masks import encode_mask, pack_mask, unpack_mask
from concord.squash import squash_mask


class TritonPythonModel(SampleModel):
    """A mask that a network found to one with the edge that is asked for, as bits and as PNG, and to a harmonizer's."""

    def answer(self, sample: Sample, requested: Collection[str]) -> Sample:
        pixels = sample["PIXELS"]
        mask = unpack_mask(sample["FOUND_BITS"], pixels.shape[1])
        found = part(pixels, mask, sample.get(EDGES, AUTO), found=True)
        answer: dict[str, Any] = {"MASK_BITS": pack_mask(found.mask), "MATTE": found.matte}
        if "COMPOSITE_MASK" in requested:
            answer["COMPOSITE_MASK"] = squash_mask(found.mask)
        if "MASK" in requested:
            answer["MASK"] = encode_mask(found.shown)
        return answer
