from collections.abc import Collection

from concord.adapter import Sample, SampleModel
from concord.clip_view import clip_view, foreground_view


class TritonPythonModel(SampleModel):
    """A harmonizer's squares to CLIP's views of the foreground and of the whole."""

    def answer(self, sample: Sample, requested: Collection[str]) -> Sample:
        composite = sample["COMPOSITE"]
        return {
            "FOREGROUND_VIEW": foreground_view(composite, sample["COMPOSITE_MASK"]),
            "COMPOSITE_VIEW": clip_view(composite),
        }
