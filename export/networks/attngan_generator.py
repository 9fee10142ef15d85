"""AttnGAN's generator: a caption's features and noise to a picture in three sizes (Xu et al., CVPR 2018).

State-dict compatible with the authors' `bird_AttnGAN2.pth` and `coco_AttnGAN2.pth`. ALR-GAN (Tan et al., IEEE TMM
2023) has the same graph when it generates.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from concord.loops.attngan import NOISE
from concord.scenes.scene import Scene
from concord.word_vocabulary import FILE, LONGEST, WordVocabulary
from export.half_precision import SOFTMAX
from export.network import Feeds, Network, Quantization, ServedTensor, Serving
from export.networks import attngan_text_encoder
from export.networks.attngan_text_encoder import FEATURES, TEXT
from export.onnx_file import session
from export.publication import exported
from export.state_dict import StateDict

CONDITION = 100
SIDES = (64, 128, 256)
"""Of the pictures, in pixels."""
LOOKUP = "attngan_words"
"""The model that looks words up."""


@dataclass(frozen=True)
class AttnGanConfig:
    """Channels of the finest maps, and residual blocks of a stage; the defaults are those for COCO."""

    width: int = 48
    blocks: int = 3


class AttnGan(nn.Module):
    """Noise [B,100], sentence [B,256], words [B,256,L], padding bool [B,L] and condition noise [B,100] to pictures.

    Answers [B,3,64,64], [B,3,128,128] and [B,3,256,256] in -1..1, and the attention [B,L,64,64] and [B,L,128,128]. Each
    caption has its own padding; the authors' mask is repeated in another order than the captions of a batch.
    """

    def __init__(self, config: AttnGanConfig) -> None:
        super().__init__()
        self.ca_net = Augmentation()
        self.h_net1 = FirstStage(16 * config.width)
        self.img_net1 = Image(config.width)
        self.h_net2 = NextStage(config.width, config.blocks)
        self.img_net2 = Image(config.width)
        self.h_net3 = NextStage(config.width, config.blocks)
        self.img_net3 = Image(config.width)

    def forward(
        self, noise: Tensor, sentence: Tensor, words: Tensor, padding: Tensor, condition_noise: Tensor
    ) -> tuple[Tensor, ...]:
        mean, log_variance = self.ca_net(sentence)
        state = self.h_net1(torch.cat((mean + condition_noise * (0.5 * log_variance).exp(), noise), 1))
        second, coarse = self.h_net2(state, words, padding)
        third, fine = self.h_net3(second, words, padding)
        return self.img_net1(state), self.img_net2(second), self.img_net3(third), coarse, fine


class Augmentation(nn.Module):
    """A sentence to the mean and the logarithm of the variance of its condition [B,100]."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(FEATURES, 4 * CONDITION)

    def forward(self, sentence: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = F.glu(self.fc(sentence), 1).chunk(2, 1)
        return mean, log_variance


class FirstStage(nn.Module):
    """Condition and noise [B,200] to a map of 64 x 64, from `width` channels at 4 x 4."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.fc = nn.Sequential(nn.Linear(CONDITION + NOISE, 32 * width, bias=False), nn.BatchNorm1d(32 * width))
        for number in range(4):
            self.add_module(f"upsample{number + 1}", enlarging(width >> number, width >> (number + 1)))

    def forward(self, code: Tensor) -> Tensor:
        x = F.glu(self.fc(code), 1).view(-1, self.width, 4, 4)
        for number in range(4):
            x = self.get_submodule(f"upsample{number + 1}")(x)
        return x


class NextStage(nn.Module):
    """A map [B,W,S,S] and the words to one of twice the side, and the attention to them [B,L,S,S]."""

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.att = Attention(width)
        self.residual = nn.Sequential(*(Residual(2 * width) for _ in range(blocks)))
        self.upsample = enlarging(2 * width, width)

    def forward(self, state: Tensor, words: Tensor, padding: Tensor) -> tuple[Tensor, Tensor]:
        context, attention = self.att(state, words, padding)
        return self.upsample(self.residual(torch.cat((state, context), 1))), attention


class Attention(nn.Module):
    """What every place of a map [B,W,S,S] reads of the words [B,256,L], and how much of each."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv_context = nn.Conv2d(FEATURES, width, 1, bias=False)

    def forward(self, state: Tensor, words: Tensor, padding: Tensor) -> tuple[Tensor, Tensor]:
        height, width = state.shape[2:]
        keys = self.conv_context(words[..., None])[..., 0]
        scores = state.flatten(2).transpose(1, 2) @ keys
        attention = scores.masked_fill(padding[:, None], -torch.inf).softmax(2).transpose(1, 2)
        return (keys @ attention).unflatten(2, (height, width)), attention.unflatten(2, (height, width))


class Residual(nn.Module):
    """Two convolutions that are added to what they read."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(width, 2 * width, 3, padding=1, bias=False),
            nn.BatchNorm2d(2 * width),
            nn.GLU(1),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, x + self.block(x))


class Image(nn.Module):
    """A map to its picture [B,3,S,S] in -1..1."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.img = nn.Sequential(nn.Conv2d(width, 3, 3, padding=1, bias=False), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.img(x))


class ServedAttnGan(nn.Module):
    """Words and sentence of the text encoder, its length int64 [B,1] and noise to pictures FP32 [B,3,S,S] in 0..1."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, words: Tensor, sentence: Tensor, length: Tensor, noise: Tensor, condition_noise: Tensor
    ) -> tuple[Tensor, ...]:
        padding = torch.arange(words.shape[2], device=words.device) >= length
        pictures = self.network(noise, sentence, words, padding, condition_noise)[: len(SIDES)]
        return tuple((picture + 1) / 2 for picture in pictures)


class PublishedAttnGan(AttnGan):
    """Answers as golden files have them: with the condition's mean, and with a sample of it."""

    def forward(
        self, noise: Tensor, sentence: Tensor, words: Tensor, padding: Tensor, condition_noise: Tensor
    ) -> tuple[Tensor, ...]:
        given = (noise, sentence, words, padding)
        plain = super().forward(*given, torch.zeros_like(condition_noise))
        return *plain, *self.ca_net(sentence), *super().forward(*given, condition_noise)[: len(SIDES)]


def enlarging(inputs: int, outputs: int) -> nn.Sequential:
    """Twice the side, by the nearest pixel, and a gated convolution."""
    return nn.Sequential(
        nn.Upsample(scale_factor=2, mode="nearest"),
        nn.Conv2d(inputs, 2 * outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(2 * outputs),
        nn.GLU(1),
    )


def draw(batch: int, generator: Generator) -> tuple[Tensor, ...]:
    """Words of several captions, and noise."""
    _, lengths = attngan_text_encoder.draw(batch, generator)
    words, sentence, noise, condition_noise = (
        scale * torch.randn(batch, *shape, generator=generator)
        for scale, shape in ((0.2, (FEATURES, LONGEST)), (0.2, (FEATURES,)), (1, (NOISE,)), (1, (CONDITION,)))
    )
    return words * (torch.arange(LONGEST) < lengths)[:, None], sentence, lengths, noise, condition_noise


def seen(scenes: Iterator[Scene], repository: Path) -> Iterator[Feeds]:
    """Scenes' expressions, in words of the vocabulary; words by number where it has none of them."""
    encoder = session(exported(repository, attngan_text_encoder.NETWORK.name))
    vocabulary = WordVocabulary.load(repository / LOOKUP / "1" / FILE)
    count = len(vocabulary.numbers)
    for number, scene in enumerate(scenes):
        rng = np.random.default_rng(number)
        numbers = [vocabulary.numbers.get(word) for word in scene.expression.split()]
        known = [each or int(rng.integers(1, count + 1)) for each in numbers][: vocabulary.longest]
        tokens = np.zeros(LONGEST, np.int64)
        tokens[: len(known)] = known
        length = np.array([len(known)])
        words, sentence = encoder.run(None, {"TOKENS": tokens[None], "LENGTH": length[None]})
        noise = rng.standard_normal((2, NOISE), np.float32)
        yield {
            "WORDS": words[0],
            "SENTENCE": sentence[0],
            "LENGTH": length,
            "NOISE": noise[0],
            "CONDITION_NOISE": noise[1],
        }


def published_sizes(weights: Mapping[str, Tensor]) -> AttnGanConfig:
    """As many channels as the last picture's convolution reads, and as many blocks as there are keys of."""
    last = weights.get("img_net3.img.0.weight")
    if last is None or last.ndim != 4:
        return COCO
    blocks = {key.split(".")[2] for key in weights if key.startswith("h_net2.residual.")}
    return AttnGanConfig(last.shape[1], len(blocks))


COCO, BIRD = AttnGanConfig(), AttnGanConfig(width=32, blocks=2)
WORDS = {COCO: 20, BIRD: 25}
"""The most words of a caption, as published."""
NETWORK = Network(
    name="attngan_generator",
    inputs=(
        *TEXT,
        attngan_text_encoder.TOKENS[1],
        ServedTensor("NOISE", "FP32", (NOISE,)),
        ServedTensor("CONDITION_NOISE", "FP32", (CONDITION,)),
    ),
    outputs=tuple(ServedTensor(f"PICTURE_{side}", "FP32", (3, side, side)) for side in SIDES),
    draw=draw,
    published={
        "attngan_coco": lambda: PublishedAttnGan(COCO),
        "attngan_bird": lambda: PublishedAttnGan(BIRD),
    },
    golden=("attngan_coco",),
    islands=(SOFTMAX,),
    quantization=Quantization("its last layers draw the pictures", ends=True, transformer=False),
    seen=seen,
    serving=Serving(batch=2, gpu_batch=8),
)
SOURCE = StateDict(
    claims=lambda keys: {"ca_net.fc.weight", "h_net1.fc.0.weight", "img_net3.img.0.weight"} <= set(keys),
    published=published_sizes,
    build=AttnGan,
    served=ServedAttnGan,
)
