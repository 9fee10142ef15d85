from concord.loop_model import LoopModel


class TritonPythonModel(LoopModel):
    """As ``diffharmony``, with a single response."""
