"""The half of MobileSAM that is asked once a click: masks and how good they are expected to be."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from concord.prompts import IN_CORNER, fitted
from concord.repository.profiles import PROFILES
from concord.scenes.scene import Scene
from export.half_precision import NORMS, SOFTMAX
from export.network import Feeds, Network, Serving
from export.networks import mobile_sam_encoder
from export.networks.mobile_sam import EMBEDDING, MobileSam
from export.networks.segment_anything import OUTPUTS, PROMPTS, clicked, draw_prompts
from export.onnx_file import session
from export.publication import exported


class ServedMobileSamDecoder(nn.Module):
    """An embedding with points [B,N,2] and labels int32 [B,N] to logits FP32 [B,4,S/4,S/4] and scores [B,4]."""

    def __init__(self, network: MobileSam) -> None:
        super().__init__()
        self.network = network

    def forward(self, embedding: Tensor, points: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        return self.network.decode(embedding, points, labels)


def draw(batch: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    return torch.randn(batch, *EMBEDDING.dims, generator=generator), *draw_prompts(batch, generator)


def seen(scenes: Iterator[Scene], repository: Path) -> Iterator[Feeds]:
    """Embeddings of composites, and a click in the middle of what was changed."""
    encoder = session(exported(repository, mobile_sam_encoder.NETWORK.name))
    for scene in scenes:
        square, size = fitted(scene.composite, IN_CORNER)
        [embedding] = encoder.run(None, {"SQUARE": square[np.newaxis], "SQUARE_SIZE": size[np.newaxis]})
        yield {"EMBEDDING": embedding[0], **clicked(scene, IN_CORNER)}


NETWORK = Network(
    name="mobile_sam_decoder",
    inputs=(EMBEDDING, *PROMPTS),
    outputs=OUTPUTS,
    draw=draw,
    published=mobile_sam_encoder.NETWORK.published,
    golden=("mobile_sam",),
    islands=(NORMS, SOFTMAX),
    seen=seen,
    serving=Serving(batch=4, gpu_batch=8, profiles=[name for name in PROFILES if name != "int8"]),
)
