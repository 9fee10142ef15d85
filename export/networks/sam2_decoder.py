"""The half of SAM 2 that is asked once a click: masks and how good they are expected to be."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from concord.prompts import ALL_OVER, fitted
from concord.repository.profiles import PROFILES
from concord.scenes.scene import Scene
from export.half_precision import NORMS, SOFTMAX
from export.network import Feeds, Network, Serving
from export.networks import sam2_encoder
from export.networks.sam2 import EMBEDDING, Sam2
from export.networks.segment_anything import OUTPUTS, PROMPTS, clicked, draw_prompts
from export.onnx_file import session
from export.publication import exported


class ServedSam2Decoder(nn.Module):
    """What the encoder answers, points [B,N,2] and labels int32 [B,N] to logits FP32 [B,4,S/4,S/4] and scores [B,4]."""

    def __init__(self, network: Sam2) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, embedding: Tensor, fine: Tensor, finest: Tensor, points: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor]:
        return self.network.decode(embedding, fine, finest, points, labels)


def draw(batch: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    maps = (torch.randn(batch, *tensor.dims, generator=generator) for tensor in EMBEDDING)
    return *maps, *draw_prompts(batch, generator)


def seen(scenes: Iterator[Scene], repository: Path) -> Iterator[Feeds]:
    """What the encoder says of composites, and a click in the middle of what was changed."""
    encoder, names = session(exported(repository, sam2_encoder.NETWORK.name)), [tensor.name for tensor in EMBEDDING]
    for scene in scenes:
        maps = encoder.run(names, {"SQUARE": fitted(scene.composite, ALL_OVER)[0][np.newaxis]})
        yield {**{name: each[0] for name, each in zip(names, maps, strict=True)}, **clicked(scene, ALL_OVER)}


NETWORK = Network(
    name="sam2_decoder",
    inputs=(*EMBEDDING, *PROMPTS),
    outputs=OUTPUTS,
    draw=draw,
    published=sam2_encoder.NETWORK.published,
    golden=sam2_encoder.NETWORK.golden,
    islands=(NORMS, SOFTMAX),
    seen=seen,
    serving=Serving(batch=4, gpu_batch=8, profiles=[name for name in PROFILES if name != "int8"]),
)
