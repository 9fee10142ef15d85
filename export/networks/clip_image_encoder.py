"""CLIP's tower for pictures: what a picture shows, as a vector that lies near those of texts that say it."""

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from concord.clip_view import VIEW_SIZE
from export.network import Network, NotPublished, ServedTensor, Serving
from export.networks.clip import VisionTransformer
from export.networks.openai_clip import EMBEDDING, PROFILED


class ServedClipImageEncoder(nn.Module):
    """`view` FP32 [B,3,224,224] RGB to its embedding FP32 [B,512], of length 1.

    CLIP was trained with its mean and standard deviation applied; who asks applies them, because published rankings
    differ in that.
    """

    def __init__(self, visual: VisionTransformer) -> None:
        super().__init__()
        self.visual = visual

    def forward(self, view: Tensor) -> Tensor:
        return F.normalize(self.visual.embed(view), dim=-1)


def draw(batch: int, generator: Generator) -> tuple[Tensor]:
    """Views of noise, as large as normalised pictures."""
    return (torch.randn(batch, 3, VIEW_SIZE, VIEW_SIZE, generator=generator),)


NETWORK = Network(
    name="clip_image_encoder",
    inputs=(ServedTensor("VIEW", "FP32", (3, VIEW_SIZE, VIEW_SIZE)),),
    outputs=(ServedTensor("EMBEDDING", "FP32", (EMBEDDING,)),),
    draw=draw,
    golden=NotPublished("it is compared with open_clip's own modules"),
    serving=Serving(batch=4, profiles=PROFILED),
)
