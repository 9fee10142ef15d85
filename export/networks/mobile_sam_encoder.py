"""The half of MobileSAM that is asked once a picture: its embedding."""

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from concord.prompts import IN_CORNER, SQUARE, fitted
from concord.scenes.scene import Scene
from export.half_precision import NORMS, SOFTMAX
from export.network import Feeds, Network, Quantization, ServedTensor, Serving, noise_image
from export.networks.mobile_sam import EMBEDDING, MobileSam, MobileSamConfig
from export.networks.segment_anything import PICTURE, Normalize

INPUTS = (PICTURE, ServedTensor("SQUARE_SIZE", "INT32", (2,)))


class NormalizeCorner(nn.Module):
    """`square` of `Normalize` and `size` int32 [B,2] to [B,3,S,S], zeros outside the picture.

    `size` is the height and width of the picture in the square's upper left corner.
    """

    def __init__(self) -> None:
        super().__init__()
        self.normalize = Normalize()

    def forward(self, square: Tensor, size: Tensor) -> Tensor:
        image = self.normalize(square)
        line = torch.arange(SQUARE, dtype=torch.int32)
        rows, columns = line < size[:, :1], line < size[:, 1:]
        return cast(Tensor, image * (rows[:, None, :, None] & columns[:, None, None, :]))


class ServedMobileSamEncoder(nn.Module):
    """`square` and `size` of `NormalizeCorner` to the embedding FP32 [B,C,S/16,S/16]."""

    def __init__(self, network: MobileSam) -> None:
        super().__init__()
        self.normalize = NormalizeCorner()
        self.image_encoder = network.image_encoder

    def forward(self, square: Tensor, size: Tensor) -> Tensor:
        return cast(Tensor, self.image_encoder(self.normalize(square, size)))


def draw(batch: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """Pictures that fill the square, one that is wide, and one that is high."""
    sizes = torch.tensor([(SQUARE, SQUARE), (3 * SQUARE // 4, SQUARE), (SQUARE, SQUARE // 3)], dtype=torch.int32)
    return noise_image(batch, SQUARE, generator), sizes[:batch]


def seen(scenes: Iterator[Scene], _repository: Path) -> Iterator[Feeds]:
    """The squares of composites."""
    for scene in scenes:
        square, size = fitted(scene.composite, IN_CORNER)
        yield {"SQUARE": square, "SQUARE_SIZE": size}


NETWORK = Network(
    name="mobile_sam_encoder",
    inputs=INPUTS,
    outputs=(EMBEDDING,),
    draw=draw,
    published={"mobile_sam": lambda: MobileSam(MobileSamConfig())},
    golden=("mobile_sam",),
    tolerance=2e-4,
    islands=(NORMS, SOFTMAX),
    quantization=Quantization("its last layers give the embedding that every click reads", ends=True),
    seen=seen,
    serving=Serving(batch=1, gpu_batch=4),
)
