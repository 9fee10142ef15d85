from concord.loops.ldm_sr import LdmSr
from concord.loops.model import LoopModel


class TritonPythonModel(LoopModel):
    """Image to the same at four times its width and height by latent diffusion; streams its progress."""

    loop = LdmSr
