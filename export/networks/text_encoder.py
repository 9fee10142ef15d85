"""CLIP's text encoder as Stable Diffusion 1 uses it: a prompt's tokens to the states of its last layer."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from concord.scenes.scene import Scene
from concord.tokenizer import END, PROMPT_LENGTH, START, Tokenizer
from export.half_precision import NORMS, SOFTMAX
from export.network import Feeds, Network, NotPublished, Quantization, ServedTensor, Serving

SIZES: dict[str, Any] = {  # CLIP ViT-L/14; the rest are transformers' defaults
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
}
WIDTH: int = SIZES["hidden_size"]
STATES = ServedTensor("STATES", "FP32", (PROMPT_LENGTH, WIDTH))


class ServedTextEncoder(nn.Module):
    """`tokens` int64 [B,77] to the normalised states FP32 [B,77,width]; those of a narrower encoder end in zeros.

    Behind the first end, `tokens` are ends; the encoder gets the padding that it was trained with.
    """

    def __init__(self, encoder: nn.Module, width: int = WIDTH, padding: int = END) -> None:
        super().__init__()
        self.encoder = encoder
        self.width = width
        self.padding = padding

    def forward(self, tokens: Tensor) -> Tensor:
        if self.padding != END:
            tokens = torch.where((tokens == END).cumsum(1) > 1, self.padding, tokens)
        states = cast(Tensor, self.encoder(tokens).last_hidden_state)
        return F.pad(states, (0, self.width - states.shape[2]))


def prompt(text: bytes, tokenizer: Tokenizer) -> Any:
    """Tokens int64 [77] of a prompt."""
    return tokenizer.prompt(text)[0]


def draw(batch: int, generator: Generator) -> tuple[Tensor]:
    """Prompts of several lengths."""
    tokens = torch.randint(START, (batch, PROMPT_LENGTH), generator=generator)
    tokens[:, 0] = START
    for row, length in zip(tokens, torch.randint(2, PROMPT_LENGTH, (batch,), generator=generator), strict=True):
        row[length:] = END
    return (tokens,)


def seen(scenes: Iterator[Scene], _repository: Path) -> Iterator[Feeds]:
    """A scene's expression."""
    tokenizer = Tokenizer.load()
    for scene in scenes:
        yield {"TOKENS": prompt(scene.expression.encode(), tokenizer)}


NETWORK = Network(
    name="text_encoder",
    inputs=(ServedTensor("TOKENS", "INT64", (PROMPT_LENGTH,)),),
    outputs=(STATES,),
    draw=draw,
    golden=NotPublished("transformers' own modules are exported, and the export is compared with them"),
    islands=(NORMS, SOFTMAX),
    quantization=Quantization("its states are told to every pixel"),
    seen=seen,
    serving=Serving(batch=4),
)
