from concord.loops.model import LoopModel
from concord.loops.phdiffusion import PhDiffusion


class TritonPythonModel(LoopModel):
    """As ``phdiffusion``, with a single response."""

    loop = PhDiffusion
