from concord.loops.diffharmony import DiffHarmony
from concord.loops.model import LoopModel


class TritonPythonModel(LoopModel):
    """As ``diffharmony``, with a single response."""

    loop = DiffHarmony
