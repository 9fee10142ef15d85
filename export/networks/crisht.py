"""CRISHT: CRIS and a Harmony Transformer in one graph, which is given a text and finds what it harmonizes.

Known from its description; its checkpoint is that of both networks.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from concord.letterbox import CRIS_SIZE, MASK_THRESHOLD, letterbox
from concord.repository.ensembles import Harmonizer
from concord.scenes.scene import Scene
from concord.squash import SMALL_SIZE, squash_image
from concord.tokenizer import Tokenizer
from export.half_precision import Island
from export.network import Feeds, Network, NotPublished, ServedTensor, noise_image
from export.networks import cris, dht, harmonizer, harmony_transformer

SIZES = ((300, 400), (1365, 2048), (1000, 700))  # of photographs, height and width, to check an export with
LARGEST = 65535  # pixels; no encoded image is wider
_SUBPIXELS = 32  # OpenCV's cubic samples at so many places of a pixel
_FRACTION = 1024  # and rounds coordinates to such parts before


class Crisht(nn.Module):
    """`cris_image` uint8 [B,416,416,3], `composite` uint8 [B,256,256,3], `tokens` int64 [B,17], `size` int32 [B,2].

    Answers CRIS's logits FP32 [B,1,104,104], and the harmonized image FP32 [B,3,256,256] before pasting, for the mask
    that they give; `size` is the photograph's height and width.
    """

    def __init__(self, segmenter: nn.Module, harmonizer: nn.Module) -> None:
        super().__init__()
        self.segmenter, self.harmonizer = segmenter, harmonizer

    def forward(self, cris_image: Tensor, composite: Tensor, tokens: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.segmenter(cris_image, tokens)
        return logits, self.harmonizer(composite, small_mask(logits, size))


def small_mask(logits: Tensor, size: Tensor) -> Tensor:
    """The harmonizer's mask FP32 [B,256,256] of 0/1 from CRIS's logits.

    As `concord.squash.squash_mask` of `concord.letterbox.mask_from_logits`: it is sampled where the squashed mask reads
    the photograph's. An object that lies between all samples is not seen.
    """
    probabilities = F.interpolate(logits.sigmoid(), CRIS_SIZE, mode="bicubic", align_corners=True)[:, 0]
    height, width = size.to(torch.int64).clamp(1, LARGEST).unbind(1)
    longest = torch.maximum(height, width)
    sampled = sample(probabilities, places(height, longest, joined=True), 1)
    sampled = sample(sampled, places(width, longest, joined=False), 2)
    return (sampled > MASK_THRESHOLD).to(torch.float32)


def places(side: Tensor, longest: Tensor, joined: bool) -> Tensor:
    """Where the small mask's pixels lie in CRIS's square, int64 [B,256], in parts of its pixels.

    `side` and `longest` int64 [B] are of the photograph. `joined`: whether scale and offset are rounded together, as
    OpenCV does for rows.
    """
    read = ((2 * torch.arange(SMALL_SIZE) + 1) * side[:, None]) // (2 * SMALL_SIZE)
    longest = longest[:, None]
    scaled, offset = CRIS_SIZE * read, CRIS_SIZE // 2 * (longest - side[:, None])
    fine = fractions(scaled + offset, longest) if joined else fractions(scaled, longest) + fractions(offset, longest)
    part = _FRACTION // _SUBPIXELS
    return (fine + part // 2) // part


def fractions(numerator: Tensor, denominator: Tensor) -> Tensor:
    """The quotient of whole numbers in parts of 1/1024, to the nearest; what is computed on the way fits into int32."""
    whole = numerator // denominator
    rest = numerator - whole * denominator
    part = (2 * _FRACTION * rest + denominator) // (2 * denominator)
    return whole * _FRACTION + part


def sample(maps: Tensor, place: Tensor, axis: int) -> Tensor:
    """Cubic samples along an axis of maps FP32 [B,S,S] at places int64 [B,n]; outside of a map is 0."""
    side = maps.shape[1]
    padded = F.pad(maps, (0, 0, 2, 2) if axis == 1 else (2, 2))
    places = place.unsqueeze(3 - axis).expand((-1, -1, side) if axis == 1 else (-1, side, -1))
    pixel = places // _SUBPIXELS
    fraction = places - pixel * _SUBPIXELS
    total: Tensor | None = None
    for tap, weights in enumerate(cubic_weights()):
        weights = weights[:, None].expand(-1, side) if axis == 1 else weights.expand(side, -1)
        weight = weights.expand(maps.shape[0], -1, -1).gather(axis, fraction)
        taken = padded.gather(axis, pixel + (tap + 1)) * weight
        total = taken if total is None else total + taken
    return cast(Tensor, total)


def cubic_weights(a: float = -0.75) -> Tensor:
    """Keys' cubic convolution kernel, as OpenCV has it: weights [4,32] of the taps -1 to 2 at parts of a pixel."""
    after = torch.arange(_SUBPIXELS) / _SUBPIXELS
    distance = torch.stack((1 + after, after, 1 - after, 2 - after))
    near = ((a + 2) * distance - (a + 3)) * distance * distance + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return torch.where(distance <= 1, near, far)


def draw(batch: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """Pictures, expressions, and sizes of photographs."""
    image, tokens = cris.draw(batch, generator)
    composite = noise_image(batch, SMALL_SIZE, generator)
    return image, composite, tokens, torch.tensor(SIZES[:batch], dtype=torch.int32)


def seen(scenes: Iterator[Scene], _repository: Path) -> Iterator[Feeds]:
    """A scene's composite, as both networks see it, its expression and its size."""
    tokenizer = Tokenizer.load()
    for scene in scenes:
        composite = scene.composite
        yield {
            "CRIS_IMAGE": letterbox(composite),
            "COMPOSITE": squash_image(composite),
            "TOKENS": tokenizer.encode(scene.expression.encode())[0],
            "SIZE": np.array(composite.shape[:2], np.int32),
        }


GLUE = Island(
    "probabilities near the threshold decide",
    ("Sigmoid", "Resize", "Pad", "Expand", "GatherElements", "Greater"),
    downstream=True,
)

NETWORK = Network(
    name="crisht",
    inputs=(
        *cris.NETWORK.inputs[:1],
        *harmonizer.INPUTS[:1],
        *cris.NETWORK.inputs[1:],
        ServedTensor("SIZE", "INT32", (2,)),
    ),
    outputs=(*cris.NETWORK.outputs, harmonizer.OUTPUT),
    draw=draw,
    golden=NotPublished("it is known from its description alone; both of its networks have answers"),
    islands=(*cris.NETWORK.islands, *dht.NETWORK.islands, GLUE),
    quantization=harmony_transformer.QUANTIZATION,
    seen=seen,
    harmonizer=Harmonizer("finds the part and harmonizes it in one network", rank=50, finds=True),
)
