"""The half of SAM 2 that is asked once a picture: its embedding, and finer maps."""

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from concord.prompts import ALL_OVER, SQUARE, fitted
from concord.scenes.scene import Scene
from export.half_precision import NORMS, SOFTMAX
from export.network import Feeds, Network, Quantization, Serving, noise_image
from export.networks.hiera import PATCH
from export.networks.sam2 import EMBEDDING, Sam2, Sam2Config
from export.networks.segment_anything import PICTURE, Normalize


class ServedSam2Encoder(nn.Module):
    """`square` of `Normalize` to FP32 [B,C,S/16,S/16], [B,C/4,S/8,S/8] and [B,C/8,S/4,S/4]."""

    def __init__(self, network: Sam2) -> None:
        super().__init__()
        self.normalize = Normalize()
        self.network = network
        with torch.no_grad():  # of the weights alone
            self.register_buffer("places", network.image_encoder.trunk.places(SQUARE // PATCH), persistent=False)

    def forward(self, square: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.network.encode(self.normalize(square), cast(Tensor, self.places))


def draw(batch: int, generator: torch.Generator) -> tuple[Tensor]:
    """Pictures that fill the square."""
    return (noise_image(batch, SQUARE, generator),)


def seen(scenes: Iterator[Scene], _repository: Path) -> Iterator[Feeds]:
    """The squares of composites."""
    for scene in scenes:
        yield {"SQUARE": fitted(scene.composite, ALL_OVER)[0]}


NETWORK = Network(
    name="sam2_encoder",
    inputs=(PICTURE,),
    outputs=EMBEDDING,
    draw=draw,
    published={"sam2_hiera_tiny": lambda: Sam2(Sam2Config())},
    golden=("sam2_hiera_tiny",),
    tolerance=2e-4,
    islands=(NORMS, SOFTMAX),
    quantization=Quantization("its last layers give the maps that every click reads", ends=True),
    seen=seen,
    serving=Serving(batch=1, gpu_batch=4),
)
