from collections.abc import Collection

from concord.adapter import Sample, SampleModel
from concord.colour_map import apply_colour_map
from concord.finish import Finish
from concord.masks import unpack_mask


class TritonPythonModel(SampleModel):
    """The network's colour map to the harmonized image at full size, or a layer of what changed, as PNG."""

    def answer(self, sample: Sample, requested: Collection[str]) -> Sample:
        finish = Finish.of(sample)
        pixels = sample["PIXELS"]
        mask = unpack_mask(sample["MASK_BITS"], pixels.shape[1])
        harmonized = apply_colour_map(
            pixels,
            mask,
            sample["COLOUR_MAP"],
            strength=finish.strength,
            in_place=not finish.is_layer,  # the request's own shared memory
        )
        return {"HARMONIZED": finish.encoded(pixels, harmonized, sample["ICC_PROFILE"])}
