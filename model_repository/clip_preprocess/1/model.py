from collections.abc import Collection

from concord.adapter import Sample, SampleModel
from concord.clip_view import clip_view, foreground_view
from concord.squash import squash_image, squash_mask


class TritonPythonModel(SampleModel):
    """Pixels and mask to the squares that harmonizers read, and to CLIP's views of them."""

    def answer(self, sample: Sample, requested: Collection[str]) -> Sample:
        composite, mask = squash_image(sample["PIXELS"]), squash_mask(sample["MASK_PIXELS"])
        return {
            "COMPOSITE": composite,
            "COMPOSITE_MASK": mask,
            "FOREGROUND_VIEW": foreground_view(composite, mask),
            "COMPOSITE_VIEW": clip_view(composite),
        }
