from concord.loops.model import LoopModel
from concord.loops.phdiffusion import PhDiffusion


class TritonPythonModel(LoopModel):
    """Image, and mask or text, to the image whose part is painted as the rest is; streams its progress."""

    loop = PhDiffusion
