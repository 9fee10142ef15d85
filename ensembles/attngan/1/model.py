from concord.loops.attngan import AttnGan
from concord.loops.model import LoopModel


class TritonPythonModel(LoopModel):
    """Caption to picture."""

    loop = AttnGan
