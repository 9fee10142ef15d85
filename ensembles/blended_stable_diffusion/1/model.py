from concord.loops.blended_latent import BlendedStableDiffusion
from concord.loops.model import LoopModel


class TritonPythonModel(LoopModel):
    """Image, mask of a part and text to the image with the part repainted; streams its progress."""

    loop = BlendedStableDiffusion
