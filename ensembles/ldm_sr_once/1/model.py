from concord.loops.ldm_sr import LdmSr
from concord.loops.model import LoopModel


class TritonPythonModel(LoopModel):
    """As ``ldm_sr``, with a single response."""

    loop = LdmSr
