from concord.loops.model import LoopModel
from concord.loops.text_to_image import TextToImage


class TritonPythonModel(LoopModel):
    """Text to picture; streams its progress."""

    loop = TextToImage
