"""A U-Net of four levels whose last one treats what is inside a mask in another way than what is outside.

Cun and Pun, "Improving the Harmony of the Composite Image by Spatial-Separated Attention Module" (TIP 2020), as it is
published with PCT-Net. The modules' names are those of its keys.
"""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class UnetEncoder(nn.Module):
    """[B,4,S,S] to its features at S, S/2, S/4 and S/8."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block0 = EncoderBlock(4, channels, norm=False)
        self.block1 = EncoderBlock(channels, 2 * channels, norm=False)
        blocks = {f"block{n}": EncoderBlock(2 ** (n - 1) * channels, 2**n * channels, norm=True) for n in (2, 3)}
        self.blocks_connected = nn.ModuleDict(blocks)

    def forward(self, x: Tensor) -> list[Tensor]:
        levels = [self.block0(x)]
        for block in (self.block1, *self.blocks_connected.values()):
            levels.append(block(F.max_pool2d(levels[-1], 2)))
        return levels


class UnetDecoder(nn.Module):
    """Features of four levels, and the mask [B,1,S,S], to features [B,C,S,S] and the attention [B,1,S,S] of 0..1."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.up_blocks = nn.ModuleList(UpBlock(2**n * channels, attends=n == 1) for n in (3, 2, 1))
        self.conv_attention = nn.Conv2d(channels, 1, 1)
        self.to_rgb = nn.Conv2d(channels, 3, 1)  # published, and without effect

    def forward(self, levels: list[Tensor], mask: Tensor) -> tuple[Tensor, Tensor]:
        x = levels[-1]
        for block, skip in zip(self.up_blocks, levels[-2::-1], strict=True):
            x = block(x, skip, mask)
        return x, torch.sigmoid(3 * self.conv_attention(x))


class UpBlock(nn.Module):
    """[B,C,s,s] and the features of the level above, [B,C/2,2s,2s], to [B,C/2,2s,2s]."""

    def __init__(self, channels: int, *, attends: bool) -> None:
        super().__init__()
        self.upconv = nn.Sequential(
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
            Layer(channels, channels // 2, norm=False),
        )
        self.attention = Attention(channels) if attends else None
        self.convs = DoubleConvolution(channels, channels // 2, norm=True)

    def forward(self, x: Tensor, skip: Tensor, mask: Tensor) -> Tensor:
        x = torch.cat((skip, self.upconv(x)), 1)
        return cast(Tensor, self.convs(x if self.attention is None else self.attention(x, mask)))


class Attention(nn.Module):
    """Features [B,C,S,S], each channel weighted in one way inside the mask [B,1,S,S] and in another outside."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.background_gate, self.foreground_gate, self.mix_gate = (Gate(channels) for _ in range(3))
        self.learning_block = nn.Sequential(
            Layer(channels, channels // 2, norm=True, bias=False), Layer(channels // 2, channels, norm=True, bias=False)
        )
        self.mask_blurring = Blur()

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        soft = self.mask_blurring(mask)
        foreground = self.learning_block(self.foreground_gate(x)) + self.mix_gate(x)
        return cast(Tensor, soft * foreground + (1 - soft) * self.background_gate(x))


class Gate(nn.Module):
    """Features [B,C,S,S] times a weight for each channel, which its mean and its maximum give."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(channels // 16, 8)
        self.attention_transform = nn.Sequential(
            nn.Linear(2 * channels, inner), nn.ReLU(), nn.Linear(inner, channels), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        pooled = torch.cat((x.mean((2, 3)), x.amax((2, 3))), 1)
        return cast(Tensor, x * self.attention_transform(pooled)[:, :, None, None])


class Blur(nn.Module):
    """A mask [B,1,S,S] with soft edges, by the 7x7 Gaussian that is published with the weights."""

    weight: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.full((1, 1, 7, 7), 1 / 49))

    def forward(self, mask: Tensor) -> Tensor:
        return F.conv2d(mask, self.weight, padding=3)


class EncoderBlock(nn.Module):
    """A level of the encoder."""

    def __init__(self, inputs: int, outputs: int, *, norm: bool) -> None:
        super().__init__()
        self.convs = DoubleConvolution(inputs, outputs, norm=norm)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.convs(x))


class DoubleConvolution(nn.Module):
    """Two layers."""

    def __init__(self, inputs: int, outputs: int, *, norm: bool) -> None:
        super().__init__()
        self.block = nn.Sequential(Layer(inputs, outputs, norm=norm), Layer(outputs, outputs, norm=norm))

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.block(x))


class Layer(nn.Module):
    """A 3x3 convolution, its norm if it has one, ReLU."""

    def __init__(self, inputs: int, outputs: int, *, norm: bool, bias: bool = True) -> None:
        super().__init__()
        after = nn.BatchNorm2d(outputs) if norm else nn.Identity()
        self.block = nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias), after, nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.block(x))
