from collections.abc import Collection

from concord.adapter import Sample, SampleModel
from concord.png import encode_png
from concord.transfer import transfer


class TritonPythonModel(SampleModel):
    """The network's small result to the harmonized image at full size, as PNG."""

    def answer(self, sample: Sample, requested: Collection[str]) -> Sample:
        harmonized = transfer(
            sample["PIXELS"],
            sample["MASK_PIXELS"],
            sample["COMPOSITE"],
            sample["COMPOSITE_MASK"],
            sample["SMALL_RESULT"],
        )
        return {"HARMONIZED": encode_png(harmonized, sample["ICC_PROFILE"])}
