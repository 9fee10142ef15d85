from concord.loops.model import LoopModel
from concord.loops.text_to_image import TextToImage


class TritonPythonModel(LoopModel):
    """As ``ldm``, with a single response."""

    loop = TextToImage
