from concord.loops.diffharmony import DiffHarmony
from concord.loops.model import LoopModel


class TritonPythonModel(LoopModel):
    """Image, and mask or text, to the harmonized image by latent diffusion; streams its progress."""

    loop = DiffHarmony
