from concord.loops.blended_diffusion import BlendedDiffusion
from concord.loops.model import LoopModel


class TritonPythonModel(LoopModel):
    """As ``blended_diffusion``, with a single response."""

    loop = BlendedDiffusion
