from concord.loops.blended_latent import BlendedStableDiffusion
from concord.loops.model import LoopModel


class TritonPythonModel(LoopModel):
    """As ``blended_stable_diffusion``, with a single response."""

    loop = BlendedStableDiffusion
