from collections.abc import Mapping
from typing import Any

from concord.loops.embeddings import Embeddings
from concord.loops.model import LoopModel
from concord.loops.segment_anything import SegmentAnything
from concord.model_config import whole_parameter


class TritonPythonModel(LoopModel):
    """Encoded image, points and box to masks; embeddings stay here for the next click on the same image."""

    loop = SegmentAnything

    def shared(self, config: Mapping[str, Any]) -> tuple[Embeddings]:
        return (Embeddings(2**20 * whole_parameter(config, "embeddings_megabytes", 128, 0, 2**16)),)
