"""The half of MobileSAM that is asked once a click: masks and how good they are expected to be."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from concord.clicks import Clicks
from concord.prompts import (
    ABSENT,
    BELONGING,
    LOWER_RIGHT,
    MASK_STRIDE,
    PADDING,
    POINTS,
    SQUARE,
    UPPER_LEFT,
    fitted,
    prompts,
)
from concord.repository.profiles import PROFILES
from concord.scenes.scene import Scene
from export.half_precision import NORMS, SOFTMAX
from export.network import Feeds, Network, ServedTensor, Serving
from export.networks import mobile_sam_encoder
from export.networks.mask_decoder import MASKS
from export.networks.mobile_sam import EMBEDDING, MobileSam
from export.onnx_file import session
from export.publication import exported

PROMPTS = (ServedTensor("PROMPTS", "FP32", (POINTS, 2)), ServedTensor("LABELS", "INT32", (POINTS,)))
OUTPUTS = (
    ServedTensor("MASK_LOGITS", "FP32", (MASKS, SQUARE // MASK_STRIDE, SQUARE // MASK_STRIDE)),
    ServedTensor("SCORES", "FP32", (MASKS,)),
)


class ServedMobileSamDecoder(nn.Module):
    """An embedding with points [B,N,2] and labels int32 [B,N] to logits FP32 [B,4,S/4,S/4] and scores [B,4]."""

    def __init__(self, network: MobileSam) -> None:
        super().__init__()
        self.network = network

    def forward(self, embedding: Tensor, points: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        return self.network.decode(embedding, points, labels)


def draw_prompts(batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A click; a box with clicks; as many as there can be."""
    points = torch.rand(batch, POINTS, 2, generator=generator) * SQUARE
    labels = torch.full((batch, POINTS), ABSENT, dtype=torch.int32)
    for row, given in zip(labels, ((BELONGING, PADDING), (0, 1, UPPER_LEFT, LOWER_RIGHT), (1, 0) * 32), strict=False):
        row[: len(given)] = torch.tensor(given)
    return points, labels


def draw(batch: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    return torch.randn(batch, *EMBEDDING.dims, generator=generator), *draw_prompts(batch, generator)


def seen(scenes: Iterator[Scene], repository: Path) -> Iterator[Feeds]:
    """Embeddings of composites, and a click in the middle of what was changed."""
    encoder = session(exported(repository, mobile_sam_encoder.NETWORK.name))
    for scene in scenes:
        square, size = fitted(scene.composite)
        [embedding] = encoder.run(None, {"SQUARE": square[np.newaxis], "SQUARE_SIZE": size[np.newaxis]})
        yield {"EMBEDDING": embedding[0], **clicked(scene)}


def clicked(scene: Scene) -> Feeds:
    """The prompts of a click where the changed object is thickest."""
    depth = cv2.distanceTransform(scene.mask, cv2.DIST_L2, 5)
    row, column = divmod(int(depth.argmax()), depth.shape[1])
    points, labels = prompts(Clicks(belonging=((column + 0.5, row + 0.5),)), *scene.mask.shape[:2])
    return {"PROMPTS": points, "LABELS": labels}


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
