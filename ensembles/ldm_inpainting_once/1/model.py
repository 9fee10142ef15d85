from concord.loops.ldm_inpainting import LdmInpainting
from concord.loops.model import LoopModel


class TritonPythonModel(LoopModel):
    """As ``ldm_inpainting``, with a single response."""

    loop = LdmInpainting
