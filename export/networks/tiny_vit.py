"""TinyViT as MobileSAM has it: a picture to an embedding whose elements cover 16 pixels each way.

Wu et al., "TinyViT: Fast Pretraining Distillation for Small Vision Transformers" (ECCV 2022); Zhang et al., "Faster
Segment Anything: Towards Lightweight SAM for Mobile Applications". The last stage keeps the resolution of the one
before it.
"""

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.networks.attention import merge_heads, split_heads

EXPANSION = 4  # of the channels inside a block
CLASSES = 1000
"""Of the classifier, whose weights are in the published file and unused."""


@dataclass(frozen=True)
class TinyVitConfig:
    """Sizes by stage; the first stage is convolutional, and its heads and window mean nothing."""

    stage_widths: tuple[int, ...] = (64, 128, 160, 320)
    stage_depths: tuple[int, ...] = (2, 2, 6, 2)
    stage_heads: tuple[int, ...] = (2, 4, 5, 10)
    stage_windows: tuple[int, ...] = (7, 7, 14, 7)
    width: int = 256  # of the embedding


class TinyVit(nn.Module):
    """Normalised `image` [B,3,S,S] to [B,C,S/16,S/16]."""

    def __init__(self, config: TinyVitConfig) -> None:
        super().__init__()
        widths = config.stage_widths
        self.patch_embed = Stem(widths[0])
        self.layers = nn.ModuleList(Stage(config, number) for number in range(len(widths)))
        self.norm_head = nn.LayerNorm(widths[-1])
        self.head = nn.Linear(widths[-1], CLASSES)
        self.neck = nn.Sequential(
            nn.Conv2d(widths[-1], config.width, 1, bias=False),
            ChannelNorm(config.width),
            nn.Conv2d(config.width, config.width, 3, padding=1, bias=False),
            ChannelNorm(config.width),
        )

    def forward(self, image: Tensor) -> Tensor:
        x = self.patch_embed(image)
        for layer in self.layers:
            x = layer(x)
        return cast(Tensor, self.neck(x))


class ConvNorm(nn.Sequential):
    """Convolution without bias and batch norm, as children `c` and `bn`."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.add_module("c", nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False))
        self.add_module("bn", nn.BatchNorm2d(outputs))


class ChannelNorm(nn.Module):
    """Layer norm over the channels of each pixel of [B,C,H,W]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        normed = F.layer_norm(x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias, 1e-6)
        return normed.permute(0, 3, 1, 2)


class Stem(nn.Module):
    """A quarter of the picture's side."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.seq = nn.Sequential(ConvNorm(3, width // 2, 3, 2), nn.GELU(), ConvNorm(width // 2, width, 3, 2))

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.seq(x))


class Stage(nn.Module):
    """Blocks of one width, and the way to the next one."""

    def __init__(self, config: TinyVitConfig, number: int) -> None:
        super().__init__()
        width = config.stage_widths[number]
        self.blocks = nn.ModuleList(
            WindowBlock(width, config.stage_heads[number], config.stage_windows[number]) if number else ConvBlock(width)
            for _ in range(config.stage_depths[number])
        )
        last = len(config.stage_widths) - 1
        self.downsample = None
        if number < last:
            self.downsample = Merging(width, config.stage_widths[number + 1], stride=1 if number == last - 1 else 2)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x if self.downsample is None else cast(Tensor, self.downsample(x))


class Merging(nn.Module):
    """To another width, and to half the side with a stride of 2."""

    def __init__(self, width: int, wider: int, stride: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(width, wider)
        self.conv2 = ConvNorm(wider, wider, 3, stride, groups=wider)
        self.conv3 = ConvNorm(wider, wider)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x))))))


class ConvBlock(nn.Module):
    """Inverted bottleneck of MobileNetV2."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inside = EXPANSION * width
        self.conv1 = ConvNorm(width, inside)
        self.conv2 = ConvNorm(inside, inside, 3, groups=inside)
        self.conv3 = ConvNorm(inside, width)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(x + self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x))))))


class WindowBlock(nn.Module):
    """Attention within windows, a depthwise convolution across them, and a perceptron: [B,C,H,W] to the same."""

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.attn = WindowAttention(width, heads, window)
        self.mlp = Perceptron(width)
        self.local_conv = ConvNorm(width, width, 3, groups=width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.local_conv(x + self.attend(x))
        tokens = x.flatten(2).transpose(1, 2)
        return cast(Tensor, (tokens + self.mlp(tokens)).transpose(1, 2).unflatten(2, x.shape[2:]))

    def attend(self, x: Tensor) -> Tensor:
        """Windows from the upper left corner; those that reach over an edge see zeros there, as published."""
        (height, width), size = x.shape[2:], self.window
        padded = F.pad(x, (0, -width % size, 0, -height % size))
        rows, columns = padded.shape[2] // size, padded.shape[3] // size
        windows = padded.unflatten(3, (columns, size)).unflatten(2, (rows, size)).permute(0, 2, 4, 3, 5, 1)
        attended = self.attn(windows.flatten(3, 4).flatten(0, 2))
        parts = attended.unflatten(0, (-1, rows, columns)).unflatten(3, (size, size))
        whole = parts.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)
        return cast(Tensor, whole[:, :, :height, :width])


class WindowAttention(nn.Module):
    """Attention among the pixels of a window, biased by their distance along each axis: [B,N,C] to the same."""

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.attention_biases = nn.Parameter(torch.zeros(heads, window * window))
        # In reading order of the window: the first pixel has every distance once, and numbers them.
        row, column = torch.arange(window * window) // window, torch.arange(window * window) % window
        distance = (row[:, None] - row).abs() * window + (column[:, None] - column).abs()
        self.register_buffer("attention_bias_idxs", distance, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        # A head's query, key and value lie side by side.
        query, key, value = split_heads(self.qkv(self.norm(x)), self.heads).chunk(3, 3)
        bias = self.attention_biases[:, cast(Tensor, self.attention_bias_idxs)]
        return cast(Tensor, self.proj(merge_heads(F.scaled_dot_product_attention(query, key, value, attn_mask=bias))))


class Perceptron(nn.Module):
    """Pre-norm, two layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, EXPANSION * width)
        self.fc2 = nn.Linear(EXPANSION * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.fc2(F.gelu(self.fc1(self.norm(x)))))
