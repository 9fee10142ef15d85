"""CRIS (CVPR 2022, R50 or R101): a referring expression and an image to mask logits.

Wang et al., "CRIS: CLIP-Driven Referring Image Segmentation". State-dict compatible with the authors'
`best_model.pth` once its `module.` prefix is gone.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from concord.letterbox import CRIS_SIZE, letterbox
from concord.scenes.scene import Scene
from concord.tokenizer import CONTEXT_LENGTH, END, START, Tokenizer
from export.half_precision import SOFTMAX, Island
from export.network import Feeds, Network, Quantization, ServedTensor, noise_image
from export.networks.attention import MultiHeadAttention, hide
from export.networks.clip import EXPANSION, Clip, CrisConfig, Normalize, VisualTower
from export.state_dict import StateDict

R50 = CrisConfig()
R101 = CrisConfig(vision_layers=(3, 4, 23, 3), embedding=512)


class Cris(nn.Module):
    """`image` [B,3,S,S] with CLIP's mean and std applied, `tokens` int64 [B,length] to logits [B,1,S/4,S/4]."""

    def __init__(self, config: CrisConfig) -> None:
        super().__init__()
        self.backbone = Clip(config, VisualTower(config))
        self.neck = Neck(config)
        self.decoder = Decoder(config)
        self.proj = Projector(config.neck[1], config.embedding)

    def forward(self, image: Tensor, tokens: Tensor) -> Tensor:
        return self.refer(self.backbone.visual(image), tokens)

    def refer(self, maps: tuple[Tensor, Tensor, Tensor], tokens: Tensor) -> Tensor:
        """The rest behind the visual tower, so that several expressions can be asked of one image."""
        words, state = self.backbone.encode_text(tokens)
        fused = self.neck(maps, state)
        fused = self.decoder(fused, words, tokens == 0)
        return cast(Tensor, self.proj(fused, state))


class ConvUnit(nn.Sequential):
    """Convolution without bias, batch norm, ReLU as children 0, 1, 2."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
        )


class Neck(nn.Module):
    """Feature pyramid that mixes the sentence into the coarsest map: three maps and [B,E] to [B,C,S/16,S/16]."""

    def __init__(self, config: CrisConfig) -> None:
        super().__init__()
        fine, middle, coarse = config.neck
        eighth = config.vision_width * 2 * EXPANSION
        sixteenth = config.vision_width * 4 * EXPANSION
        self.txt_proj = nn.Sequential(
            nn.Linear(config.embedding, coarse, bias=False), nn.BatchNorm1d(coarse), nn.ReLU()
        )
        self.f1_v_proj = ConvUnit(config.embedding, coarse, 1)
        self.norm_layer = nn.Sequential(nn.BatchNorm2d(coarse), nn.ReLU())
        self.f2_v_proj = ConvUnit(sixteenth, middle, 3)
        self.f2_cat = ConvUnit(coarse + middle, middle, 1)
        self.f3_v_proj = ConvUnit(eighth, fine, 3)
        self.f3_cat = ConvUnit(fine + middle, middle, 1)
        self.f4_proj5 = ConvUnit(coarse, middle, 3)
        self.f4_proj4 = ConvUnit(middle, middle, 3)
        self.f4_proj3 = ConvUnit(middle, middle, 3)
        self.aggr = ConvUnit(3 * middle, middle, 1)
        self.coordconv = nn.Sequential(CoordConv(middle, config.image_size // 16), ConvUnit(middle, middle, 3))

    def forward(self, maps: tuple[Tensor, Tensor, Tensor], state: Tensor) -> Tensor:
        eighth, sixteenth, pooled = maps
        sentence = self.txt_proj(state)[:, :, None, None]
        coarse = self.norm_layer(self.f1_v_proj(pooled) * sentence)
        middle = self.f2_cat(torch.cat((self.f2_v_proj(sixteenth), double(coarse)), 1))
        fine = self.f3_cat(torch.cat((F.avg_pool2d(self.f3_v_proj(eighth), 2), middle), 1))
        levels = (self.f4_proj3(fine), self.f4_proj4(middle), double(self.f4_proj5(coarse)))
        return cast(Tensor, self.coordconv(self.aggr(torch.cat(levels, 1))))


class CoordConv(nn.Module):
    """Convolution that also sees where it is: x, then y, from -1 to 1."""

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.conv1 = ConvUnit(channels + 2, channels, 3)
        line = torch.linspace(-1, 1, side)
        grid = torch.stack((line.expand(side, side), line[:, None].expand(side, side)))
        self.register_buffer("grid", grid[None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.conv1(torch.cat((x, cast(Tensor, self.grid).expand(x.shape[0], -1, -1, -1)), 1)))


class Decoder(nn.Module):
    """Vision tokens attend to themselves and to the words: [B,C,H,W] to the same shape."""

    def __init__(self, config: CrisConfig) -> None:
        super().__init__()
        width, side = config.neck[1], config.image_size // 16
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)
        self.register_buffer("vision_position", sine_plane(side, width), persistent=False)
        self.register_buffer("word_position", sine_line(config.length, config.text_width)[None], persistent=False)

    def forward(self, vision: Tensor, words: Tensor, padded: Tensor) -> Tensor:
        bias = hide(padded)
        x = vision.flatten(2).transpose(1, 2)
        for layer in self.layers:
            x = layer(x, words, self.vision_position, self.word_position, bias)
        return cast(Tensor, self.norm(x).transpose(1, 2).unflatten(2, vision.shape[2:]))


class DecoderLayer(nn.Module):
    """Pre-norm layer with a second norm behind each attention."""

    def __init__(self, config: CrisConfig) -> None:
        super().__init__()
        width = config.neck[1]
        self.self_attn_norm = nn.LayerNorm(width)
        self.cross_attn_norm = nn.LayerNorm(width)
        self.self_attn = MultiHeadAttention(width, config.heads)
        self.multihead_attn = MultiHeadAttention(width, config.heads)
        self.ffn = nn.Sequential(
            nn.Linear(width, config.feedforward),
            nn.ReLU(),
            nn.Dropout(0.0),
            nn.LayerNorm(config.feedforward),
            nn.Linear(config.feedforward, width),
        )
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.norm3 = nn.LayerNorm(width)

    def forward(self, x: Tensor, words: Tensor, position: Tensor, word_position: Tensor, bias: Tensor) -> Tensor:
        y = self.norm1(x)
        q = y + position
        x = x + self.self_attn_norm(self.self_attn(q, q, y))
        y = self.norm2(x)
        x = x + self.cross_attn_norm(self.multihead_attn(y + position, words + word_position, words, bias))
        return x + cast(Tensor, self.ffn(self.norm3(x)))


class Projector(nn.Module):
    """Upsamples the map four times and convolves it with a 3x3 kernel made from the sentence."""

    def __init__(self, width: int, embedding: int) -> None:
        super().__init__()
        half = width // 2
        self.vis = nn.Sequential(
            nn.Upsample(scale_factor=2, mode="bilinear"),
            ConvUnit(width, width, 3),
            nn.Upsample(scale_factor=2, mode="bilinear"),
            ConvUnit(width, half, 3),
            nn.Conv2d(half, half, 1),
        )
        self.txt = nn.Linear(embedding, half * 9 + 1)

    def forward(self, x: Tensor, state: Tensor) -> Tensor:
        x = self.vis(x)
        word: Tensor = self.txt(state)
        kernel, bias = word[:, :-1], word[:, -1]
        return convolve_each(x, cast(Tensor, kernel.unflatten(1, (x.shape[1], 9)))) + bias[:, None, None, None]


def convolve_each(x: Tensor, kernel: Tensor) -> Tensor:
    """Convolve each sample with its own 3x3 kernel, zero padding 1: [B,C,H,W], [B,C,9] to [B,1,H,W].

    Equal to a convolution with groups=batch, which exports at one batch size only: here the kernel's nine taps are a
    matrix product, and nine shifted slices are summed.
    """
    height, width = x.shape[2:]
    taps = (kernel.transpose(1, 2) @ x.flatten(2)).unflatten(2, (height, width))
    taps = F.pad(taps, (1, 1, 1, 1))
    shifted = [taps[:, 3 * i + j, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    return torch.stack(shifted, 1).sum(1, keepdim=True)


def double(x: Tensor) -> Tensor:
    """Bilinear upsampling by two (align_corners False)."""
    return F.interpolate(x, scale_factor=2, mode="bilinear")


def sine_line(length: int, width: int) -> Tensor:
    """The usual sine positions [length, width] of "Attention Is All You Need": even sin, odd cos, counted from 0."""
    frequency = torch.exp(torch.arange(0, width, 2) * -(torch.log(torch.tensor(10000.0)) / width))
    angle = torch.arange(length)[:, None] * frequency
    return torch.stack((angle.sin(), angle.cos()), -1).flatten(1)


def sine_plane(side: int, width: int) -> Tensor:
    """Sine positions of a square grid [1, side*side, width]: half of the channels from x, then half from y."""
    line = sine_line(side, width // 2)
    x = line[None].expand(side, side, -1)
    y = line[:, None].expand(side, side, -1)
    return torch.cat((x, y), -1).reshape(1, side * side, width)


class ServedCris(nn.Module):
    """`image` uint8 RGB [B,S,S,3], letterboxed, and `tokens` int64 [B,length] to logits FP32 [B,1,S/4,S/4]."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.normalize = Normalize()

    def forward(self, image: Tensor, tokens: Tensor) -> Tensor:
        return cast(Tensor, self.network(self.normalize(image), tokens))


def draw(batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Images, and token rows of every length from one word to the full context."""
    tokens = torch.zeros(batch, CONTEXT_LENGTH, dtype=torch.int64)
    for n, row in enumerate(tokens):
        words = 1 + (7 * n) % (CONTEXT_LENGTH - 2)
        row[0] = START
        row[1 : 1 + words] = torch.randint(1, START, (words,), generator=generator)
        row[1 + words] = END
    return noise_image(batch, CRIS_SIZE, generator), tokens


def seen(scenes: Iterator[Scene], _repository: Path) -> Iterator[Feeds]:
    """A scene's composite, and its expression."""
    tokenizer = Tokenizer.load()
    for scene in scenes:
        tokens, _ = tokenizer.encode(scene.expression.encode())
        yield {"CRIS_IMAGE": letterbox(scene.composite), "TOKENS": tokens}


def published(weights: Mapping[str, Tensor]) -> CrisConfig:
    """R50, or R101, which has more layers."""
    return R101 if "backbone.visual.layer3.6.conv1.weight" in weights else R50


TEXT = Island(
    "layer norms, of the text encoder above all: a few channels are hundreds of times the others",
    ("LayerNormalization",),
)
BATCH_NORM = Island("variances may be below half's smallest normal number", ("BatchNormalization",))

NETWORK = Network(
    name="cris",
    inputs=(
        ServedTensor("CRIS_IMAGE", "UINT8", (CRIS_SIZE, CRIS_SIZE, 3)),
        ServedTensor("TOKENS", "INT64", (CONTEXT_LENGTH,)),
    ),
    outputs=(ServedTensor("LOGITS", "FP32", (1, CRIS_SIZE // 4, CRIS_SIZE // 4)),),
    draw=draw,
    source=StateDict(
        claims=lambda keys: "backbone.visual.conv1.weight" in keys and "proj.txt.weight" in keys,
        published=published,
        build=Cris,
        served=ServedCris,
    ),
    published={"cris_r50": lambda: Cris(R50), "cris_r101": lambda: Cris(R101)},
    golden=("cris_r50", "cris_r101"),
    islands=(TEXT, SOFTMAX, BATCH_NORM),
    quantization=Quantization("nothing of it asks for more"),
    seen=seen,
)
