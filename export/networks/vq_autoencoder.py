"""The autoencoder of latent diffusion with a codebook (VQ-f4), under CompVis's keys, with or without attention.

Rombach et al. (2022), after Esser, Rombach and Ommer, "Taming Transformers" (2021). What is encoded is not quantised;
what is decoded is.
"""

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import Attention
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn

from export.networks.map_attention import MapAttention

EPSILON = 1e-6
PIECE = 1024  # codes that a latent is compared with at a time: a matrix of all would take half a gigabyte at 512 pixels


@dataclass(frozen=True)
class VqConfig:
    """Sizes; the defaults are those of VQ-f4. Each level but the last halves the size.

    `attends`: whether the smallest map attends to itself, with one head. `groups` are those of the norms.
    """

    width: int = 128
    multiples: tuple[int, ...] = (1, 2, 4)
    layers: int = 2
    channels: int = 3
    codes: int = 8192
    attends: bool = False
    groups: int = 32


class VqAutoencoder(nn.Module):
    """Pictures [B,3,H,W] in -1..1 to latents [B,C,H/4,W/4] and back."""

    def __init__(self, config: VqConfig) -> None:
        super().__init__()
        self.encoder, self.decoder = Encoder(config), Decoder(config)
        self.quantize = Codebook(config)
        self.quant_conv, self.post_quant_conv = (nn.Conv2d(config.channels, config.channels, 1) for _ in range(2))

    def encode(self, image: Tensor) -> Tensor:
        """The latent ahead of its quantisation."""
        return cast(Tensor, self.quant_conv(self.encoder(image)))

    def decode(self, quantized: Tensor) -> Tensor:
        """The picture of a quantised latent, not clamped."""
        return cast(Tensor, self.decoder(self.post_quant_conv(quantized)))


class Codebook(nn.Module):
    """Latents [B,C,h,w] to the nearest codes."""

    def __init__(self, config: VqConfig) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.codes, config.channels)

    def forward(self, latent: Tensor) -> Tensor:
        codes, tokens = self.embedding.weight, latent.flatten(2).transpose(1, 2)
        best = nearest = None
        for first in range(0, len(codes), PIECE):
            piece = codes[first : first + PIECE]
            # Half of the distance's square, but for that of the latent and the sign.
            likeness, place = (tokens @ piece.T - 0.5 * (piece * piece).sum(1)).max(dim=-1)
            if best is None or nearest is None:
                best, nearest = likeness, place
            else:
                nearest = torch.where(likeness > best, place + first, nearest)
                best = torch.maximum(best, likeness)
        assert nearest is not None
        return cast(Tensor, self.embedding(nearest).transpose(1, 2).unflatten(2, latent.shape[2:]))


class ResidualBlock(nn.Module):
    """[B,C,h,w] to [B,O,h,w]."""

    def __init__(self, inputs: int, outputs: int, groups: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = _norm(inputs, groups), _norm(outputs, groups)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        if inputs != outputs:
            self.nin_shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv2(F.silu(self.norm2(self.conv1(F.silu(self.norm1(x))))))
        return cast(Tensor, (self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x) + h)


class Downsampling(nn.Module):
    """To half of the size, with a padding to the right and below alone."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.conv(F.pad(x, (0, 1, 0, 1))))


class Level(nn.Module):
    """Residual blocks, and what changes the size behind them."""

    def __init__(self, inputs: int, outputs: int, layers: int, groups: int, **resampling: nn.Module) -> None:
        super().__init__()
        self.block = nn.ModuleList(ResidualBlock(inputs if not n else outputs, outputs, groups) for n in range(layers))
        for name, module in resampling.items():
            self.add_module(name, module)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.block:
            x = block(x)
        for name, module in self.named_children():
            x = x if name == "block" else module(x)
        return x


class MiddleAttention(MapAttention):
    """[B,C,h,w] to the same, with one head of all channels."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.norm = _norm(channels, groups)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(x)
        # An axis for the one head: ONNX's exporter asks for it.
        query, key, value = (layer(h).flatten(2).transpose(1, 2)[:, None] for layer in (self.q, self.k, self.v))
        attended = F.scaled_dot_product_attention(query, key, value)[:, 0].transpose(1, 2).unflatten(2, x.shape[2:])
        return cast(Tensor, x + self.proj_out(attended))

    def ordinary(self) -> Attention:
        """See `MapAttention`."""
        layers = [layer.state_dict() for layer in (self.q, self.k, self.v)]
        return self.as_diffusers(1, [(layer["weight"].flatten(1), layer["bias"]) for layer in layers])


class Middle(nn.Module):
    """Two residual blocks at the smallest size, between which it may attend."""

    def __init__(self, channels: int, config: VqConfig) -> None:
        super().__init__()
        self.block_1, self.block_2 = (ResidualBlock(channels, channels, config.groups) for _ in range(2))
        if config.attends:
            self.attn_1 = MiddleAttention(channels, config.groups)

    def forward(self, x: Tensor) -> Tensor:
        x = self.block_1(x)
        return cast(Tensor, self.block_2(self.attn_1(x) if hasattr(self, "attn_1") else x))


class Encoder(nn.Module):
    """[B,3,H,W] to [B,C,H/4,W/4]."""

    def __init__(self, config: VqConfig) -> None:
        super().__init__()
        widths = [config.width * multiple for multiple in config.multiples]
        self.conv_in = nn.Conv2d(3, config.width, 3, padding=1)
        self.down = nn.ModuleList()
        for number, (inputs, outputs) in enumerate(zip([config.width, *widths[:-1]], widths, strict=True)):
            smaller = {"downsample": Downsampling(outputs)} if number < len(widths) - 1 else {}
            self.down.append(Level(inputs, outputs, config.layers, config.groups, **smaller))
        self.mid = Middle(widths[-1], config)
        self.norm_out = _norm(widths[-1], config.groups)
        self.conv_out = nn.Conv2d(widths[-1], config.channels, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        x = self.conv_in(image)
        for level in self.down:
            x = level(x)
        return cast(Tensor, self.conv_out(F.silu(self.norm_out(self.mid(x)))))


class Decoder(nn.Module):
    """[B,C,h,w] to [B,3,4h,4w]. The levels are kept from the finest to the coarsest."""

    def __init__(self, config: VqConfig) -> None:
        super().__init__()
        widths = [config.width * multiple for multiple in config.multiples]
        self.conv_in = nn.Conv2d(config.channels, widths[-1], 3, padding=1)
        self.mid = Middle(widths[-1], config)
        self.up = nn.ModuleList()
        for number, (inputs, outputs) in enumerate(zip([*widths[1:], widths[-1]], widths, strict=True)):
            larger = {"upsample": Upsample2D(outputs, use_conv=True)} if number else {}
            self.up.append(Level(inputs, outputs, config.layers + 1, config.groups, **larger))
        self.norm_out = _norm(widths[0], config.groups)
        self.conv_out = nn.Conv2d(widths[0], 3, 3, padding=1)

    def forward(self, latent: Tensor) -> Tensor:
        x = self.mid(self.conv_in(latent))
        for level in reversed(self.up):
            x = level(x)
        return cast(Tensor, self.conv_out(F.silu(self.norm_out(x))))


class ServedVqDecoder(nn.Module):
    """Latents FP32 [B,C,h,w], which are quantised, to pictures FP32 [B,3,4h,4w], nominally 0..1."""

    def __init__(self, network: VqAutoencoder) -> None:
        super().__init__()
        self.quantize, self.post_quant_conv, self.decoder = network.quantize, network.post_quant_conv, network.decoder

    def forward(self, latent: Tensor) -> Tensor:
        return cast(Tensor, self.decoder(self.post_quant_conv(self.quantize(latent))) / 2 + 0.5)


def _norm(channels: int, groups: int) -> nn.GroupNorm:
    return nn.GroupNorm(groups, channels, eps=EPSILON)
