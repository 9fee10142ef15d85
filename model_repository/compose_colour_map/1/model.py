from collections.abc import Collection

from concord.adapter import Sample, SampleModel
from concord.colour_map import apply_colour_map
from concord.edges import opacity_of
from concord.masks import unpack_mask
from concord.png import encode_png


class TritonPythonModel(SampleModel):
    """The network's colour map to the harmonized image at full size, as PNG."""

    def answer(self, sample: Sample, requested: Collection[str]) -> Sample:
        pixels = sample["PIXELS"]
        mask = unpack_mask(sample["MASK_BITS"], pixels.shape[1])
        # In place, in the request's own shared memory.
        opacity = opacity_of(sample["MATTE"])
        harmonized = apply_colour_map(pixels, mask, sample["COLOUR_MAP"], opacity=opacity, in_place=True)
        return {"HARMONIZED": encode_png(harmonized, sample["ICC_PROFILE"])}
