from collections.abc import Collection

from concord.adapter import Sample, SampleModel
from concord.colour_map import apply_colour_map
from concord.png import encode_png


class TritonPythonModel(SampleModel):
    """The network's colour map to the harmonized image at full size, as PNG."""

    def answer(self, sample: Sample, requested: Collection[str]) -> Sample:
        harmonized = apply_colour_map(sample["PIXELS"], sample["MASK_PIXELS"], sample["COLOUR_MAP"])
        return {"HARMONIZED": encode_png(harmonized, sample["ICC_PROFILE"])}
