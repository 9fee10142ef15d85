from concord.loops.model import LoopModel
from concord.loops.subject import Subject


class TritonPythonModel(LoopModel):
    """Encoded image to the mask of its subject."""

    loop = Subject
