"""Text to harmonized photograph in one process, as a user would write it around the two networks.

Decoding, geometry and the transfer are Concord's own functions, so that all servers do the same work and give the same
picture, and only the serving differs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from concord.edges import fitted
from concord.images import DecodedImage, decode_image
from concord.letterbox import letterbox, mask_from_logits
from concord.limits import Limits
from concord.png import encode_png
from concord.server.installation import MODEL_REPOSITORIES
from concord.squash import squash_image, squash_mask
from concord.tokenizer import Tokenizer
from concord.transfer import transfer

Array = NDArray[Any]
Network = Callable[[dict[str, Array]], Array]
"""Inputs by name to the network's one output; all with a batch axis in front."""
MODELS = MODEL_REPOSITORIES[0]


@dataclass(frozen=True)
class Question:
    """A photograph and a text as the network that segments reads them."""

    image: DecodedImage
    square: NDArray[np.uint8]
    tokens: NDArray[np.int64]


@dataclass(frozen=True)
class Answer:
    """The networks' answers to a question; see `concord.transfer.transfer`."""

    image: DecodedImage
    mask: NDArray[np.uint8]
    composite: NDArray[np.uint8]
    composite_mask: NDArray[np.uint8]
    result: NDArray[np.float32]


class Pipeline:
    """Reads questions, answers batches of them with networks that segment and that harmonize, and draws the answers."""

    def __init__(self, load: Callable[[Path], Network], names: Sequence[str]) -> None:
        self._segment, self._harmonize = (load(MODELS / name / "1" / "model.onnx") for name in names)
        self._tokenizer = Tokenizer.load()
        self._limits = Limits.from_environment()

    def __call__(self, image: bytes, text: bytes) -> bytes:
        """The harmonized photograph, PNG."""
        [answer] = self.answer([self.read(image, text)])
        return self.draw(answer)

    def read(self, image: bytes, text: bytes) -> Question:
        """Decodes an encoded photograph, and the text in UTF-8."""
        decoded = decode_image(image, self._limits)
        tokens, _ = self._tokenizer.encode(text)
        return Question(decoded, letterbox(decoded.pixels), tokens)

    def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Both networks on all questions in one batch."""
        logits = self._segment(
            {
                "CRIS_IMAGE": np.stack([question.square for question in questions]),
                "TOKENS": np.stack([question.tokens for question in questions]),
            }
        )
        images = [question.image for question in questions]
        masks = list(map(_mask, logits, images))
        composites = [squash_image(image.pixels) for image in images]
        composite_masks = [squash_mask(mask) for mask in masks]
        results = self._harmonize({"COMPOSITE": np.stack(composites), "COMPOSITE_MASK": np.stack(composite_masks)})
        return list(map(Answer, images, masks, composites, composite_masks, results))

    def draw(self, answer: Answer) -> bytes:
        """The answer at the photograph's size, as PNG."""
        harmonized = transfer(answer.image.pixels, answer.mask, answer.composite, answer.composite_mask, answer.result)
        return encode_png(harmonized, answer.image.icc_profile)


def _mask(logits: Array, image: DecodedImage) -> NDArray[np.uint8]:
    """The mask of a photograph, uint8 [H, W] of 0 and 255, from the segmenter's answer."""
    found, _ = mask_from_logits(logits, *image.pixels.shape[:2])
    return fitted(image.pixels, found)


def onnx_runtime(path: Path) -> Network:
    """A network in ONNX Runtime with default options."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def run(inputs: dict[str, Array]) -> Array:
        [output] = session.run(None, inputs)
        return np.asarray(output)

    return run


def openvino(path: Path) -> Network:
    """A network in OpenVINO from the same file, in FP32 also where the CPU's default is less."""
    # Takes a second to import, and the servers do without it.
    from openvino import Core

    model = Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(inputs: dict[str, Array]) -> Array:
        return np.asarray(model(inputs)[0])

    return run
