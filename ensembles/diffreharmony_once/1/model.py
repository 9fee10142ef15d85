from concord.loops.diffreharmony import DiffReHarmony
from concord.loops.model import LoopModel


class TritonPythonModel(LoopModel):
    """As ``diffreharmony``, with a single response."""

    loop = DiffReHarmony
