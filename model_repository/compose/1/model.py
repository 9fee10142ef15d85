from collections.abc import Collection

from concord.adapter import Sample, SampleModel
from concord.edges import opacity_of
from concord.masks import unpack_mask
from concord.png import encode_png
from concord.transfer import transfer


class TritonPythonModel(SampleModel):
    """The network's small result to the harmonized image at full size, as PNG."""

    def answer(self, sample: Sample, requested: Collection[str]) -> Sample:
        pixels = sample["PIXELS"]
        harmonized = transfer(
            pixels,
            unpack_mask(sample["MASK_BITS"], pixels.shape[1]),
            sample["COMPOSITE"],
            sample["COMPOSITE_MASK"],
            sample["SMALL_RESULT"],
            opacity=opacity_of(sample["MATTE"]),
            in_place=True,  # the request's own shared memory
        )
        return {"HARMONIZED": encode_png(harmonized, sample["ICC_PROFILE"])}
