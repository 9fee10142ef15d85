from concord.loops.diffreharmony import DiffReHarmony
from concord.loops.model import LoopModel


class TritonPythonModel(LoopModel):
    """Image and text to the harmonized image by latent diffusion that finds the foreground; streams its progress."""

    loop = DiffReHarmony
