"""What the networks of Segment Anything share as they are served: squares, prompts, masks."""

from typing import cast

import cv2
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
    Fit,
    prompts,
)
from concord.scenes.scene import Scene
from export.network import Feeds, ServedTensor
from export.networks.mask_decoder import MASKS

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # of grey levels
PICTURE = ServedTensor("SQUARE", "UINT8", (SQUARE, SQUARE, 3))
PROMPTS = (ServedTensor("PROMPTS", "FP32", (POINTS, 2)), ServedTensor("LABELS", "INT32", (POINTS,)))
OUTPUTS = (
    ServedTensor("MASK_LOGITS", "FP32", (MASKS, SQUARE // MASK_STRIDE, SQUARE // MASK_STRIDE)),
    ServedTensor("SCORES", "FP32", (MASKS,)),
)


class Normalize(nn.Module):
    """As published: `square` uint8 RGB [B,S,S,3] to [B,3,S,S]."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(STD)[:, None, None], persistent=False)

    def forward(self, square: Tensor) -> Tensor:
        return (square.to(torch.float32).permute(0, 3, 1, 2) - cast(Tensor, self.mean)) / cast(Tensor, self.std)


def draw_prompts(batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A click; a box with clicks; as many as there can be."""
    points = torch.rand(batch, POINTS, 2, generator=generator) * SQUARE
    labels = torch.full((batch, POINTS), ABSENT, dtype=torch.int32)
    for row, given in zip(labels, ((BELONGING, PADDING), (0, 1, UPPER_LEFT, LOWER_RIGHT), (1, 0) * 32), strict=False):
        row[: len(given)] = torch.tensor(given)
    return points, labels


def clicked(scene: Scene, fit: Fit) -> Feeds:
    """The prompts of a click where the changed object is thickest."""
    depth = cv2.distanceTransform(scene.mask, cv2.DIST_L2, 5)
    row, column = divmod(int(depth.argmax()), depth.shape[1])
    points, labels = prompts(Clicks(belonging=((column + 0.5, row + 0.5),)), fit, *scene.mask.shape[:2])
    return {"PROMPTS": points, "LABELS": labels}
