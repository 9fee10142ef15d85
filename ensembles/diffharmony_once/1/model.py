from concord.loops.model import LoopModel


class TritonPythonModel(LoopModel):
    """As ``diffharmony``, with a single response."""
