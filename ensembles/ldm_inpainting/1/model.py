from concord.loops.ldm_inpainting import LdmInpainting
from concord.loops.model import LoopModel


class TritonPythonModel(LoopModel):
    """Image and mask of a hole to the image with the hole filled by latent diffusion; streams its progress."""

    loop = LdmInpainting
