"""The text encoder of latent diffusion's text-to-image model: word pieces to the states that its UNet is told."""

from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from concord.scenes.scene import Scene
from concord.word_pieces import LENGTH
from export.half_precision import NORMS, SOFTMAX
from export.network import Feeds, Network, Quantization, Serving
from export.networks.ldm_text2img import GOLDEN, PUBLISHED, STATES, TOKENS, WIDTH, texts


class ServedTextTransformer(nn.Module):
    """`tokens` int64 [B,77] to the states FP32 [B,77,1280]; those of a narrower encoder end in zeros."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, tokens: Tensor) -> Tensor:
        states = self.network(tokens)
        return F.pad(states, (0, WIDTH - states.shape[2]))


def draw(batch: int, generator: Generator) -> tuple[Tensor]:
    """Texts of several lengths; the pieces are among those of every vocabulary."""
    tokens = torch.randint(1, 10, (batch, LENGTH), generator=generator)
    lengths = torch.randint(2, LENGTH + 1, (batch, 1), generator=generator)
    return (torch.where(torch.arange(LENGTH) < lengths, tokens, 0),)


def seen(scenes: Iterator[Scene], repository: Path) -> Iterator[Feeds]:
    """A scene's expression."""
    tokens_of, _ = texts(repository)
    for scene in scenes:
        yield {"TOKENS": tokens_of(scene.expression.encode())}


NETWORK = Network(
    name="ldm_text2img_text_encoder",
    inputs=(TOKENS,),
    outputs=(STATES,),
    draw=draw,
    published=PUBLISHED,
    golden=GOLDEN,
    islands=(NORMS, SOFTMAX),
    quantization=Quantization("its states are told to every pixel"),
    seen=seen,
    serving=Serving(batch=4),
)
