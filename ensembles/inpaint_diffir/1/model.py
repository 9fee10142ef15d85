from concord.loops.diffir import DiffIR
from concord.loops.model import LoopModel


class TritonPythonModel(LoopModel):
    """Encoded image and mask of a hole to the image with the hole filled."""

    loop = DiffIR
