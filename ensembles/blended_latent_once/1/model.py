from concord.loops.blended_latent import BlendedLatent
from concord.loops.model import LoopModel


class TritonPythonModel(LoopModel):
    """As ``blended_latent``, with a single response."""

    loop = BlendedLatent
