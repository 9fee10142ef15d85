from collections.abc import Collection

from concord.adapter import Sample, SampleModel
from concord.finish import Finish
from concord.masks import unpack_mask
from concord.transfer import transfer


class TritonPythonModel(SampleModel):
    """The network's small result to the harmonized image at full size, or a layer of what changed, as PNG."""

    def answer(self, sample: Sample, requested: Collection[str]) -> Sample:
        finish = Finish.of(sample)
        pixels = sample["PIXELS"]
        harmonized = transfer(
            pixels,
            unpack_mask(sample["MASK_BITS"], pixels.shape[1]),
            sample["COMPOSITE"],
            sample["COMPOSITE_MASK"],
            sample["SMALL_RESULT"],
            strength=finish.strength,
            in_place=not finish.is_layer,  # the request's own shared memory
        )
        return {"HARMONIZED": finish.encoded(pixels, harmonized, sample["ICC_PROFILE"])}
