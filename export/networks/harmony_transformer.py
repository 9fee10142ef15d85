"""Harmony Transformer in its four published forms: HT+ and DHT+ (TPAMI), HT and D-HT (ICCV 2021).

Guo et al., "Image Harmonization with Transformer" (ICCV 2021) and "Transformer for Image Harmonization and Beyond"
(TPAMI 2022). State-dict compatible with the authors' `latest_net_G.pth`.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal, Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from concord.repository.ensembles import Harmonizer
from export.half_precision import NORMS, SOFTMAX, Island
from export.network import Network, Quantization
from export.networks.attention import DecoderLayer, EncoderLayer, hide
from export.networks.harmonizer import INPUTS, OUTPUT, ServedHarmonizer, draw, seen
from export.state_dict import StateDict

Form = Literal["ht_plus", "dht_plus", "ht_v1", "dht_v1"]


class LayerSizes(Protocol):
    """Sizes of a transformer's layers."""

    @property
    def width(self) -> int: ...
    @property
    def heads(self) -> int: ...
    @property
    def feedforward(self) -> int: ...


@dataclass(frozen=True)
class HarmonyTransformerConfig:
    """Sizes of a Harmony Transformer; the defaults are the published ones ("2H9L").

    `layers` is of the encoder over the pixels, `light_layers` of the light branch, `render_layers` of the illumination.
    """

    form: Form
    image_size: int = 256
    base: int = 64
    width: int = 256
    heads: int = 2
    feedforward: int = 512
    layers: int = 9
    light_layers: int = 9
    render_layers: int = 9
    light_codes: int = 27


PATCH = 4  # pixels a token of the image covers, each way
LIGHT_PATCH = 8  # pixels a token of the light branch covers, each way
# Keys of the light branch, and of the encoder that only its first form has.
LIGHT = "light_generator.light_embed.weight"
LIGHT_ENCODER = "light_generator.transformer_enc.encoder.layers.0.norm1.weight"
IMAGE_NORM = Island(
    "norms over C*H*W: a million squares, and their mean's two steps",
    ("ReduceMean", "Sub", "Pow", "Sqrt"),
    ("node_square*",),
    downstream=True,
)
QUANTIZATION = Quantization(
    "norms over C*H*W: squares of a million values; the last layer draws the picture: its error is a tint of all",
    ("Power", "ReduceMean", "Divide", "ConvolutionBackpropData"),
)


def build(config: HarmonyTransformerConfig) -> nn.Module:
    """The network of `config.form`; called with `composite` [B,3,S,S] in 0..1 and `mask` [B,1,S,S] of 0/1.

    All answer the harmonized image [B,3,S,S] before pasting; the DHT forms a tuple (harmonized, reflectance,
    illumination), each in 0..1. HT ends in tanh, so its values may be negative.
    """
    return {"ht_plus": PatchHT, "ht_v1": ConvHT, "dht_plus": DHT, "dht_v1": DHT}[config.form](config)


def declare(name: str, form: Form, claims: Callable[[Collection[str]], bool], harmonizer: Harmonizer) -> Network:
    """The declaration of a form, whose published checkpoints have the keys that it claims."""
    published = HarmonyTransformerConfig(form)
    return Network(
        name=name,
        inputs=INPUTS,
        outputs=(OUTPUT,),
        draw=draw,
        source=StateDict(claims, lambda _weights: published, build, ServedHarmonizer),
        published={form: lambda: build(published)},
        golden=(form,),
        islands=(IMAGE_NORM, NORMS, SOFTMAX),
        quantization=QUANTIZATION,
        seen=seen,
        harmonizer=harmonizer,
    )


class PatchHT(nn.Module):
    """HT+: linear patch embedding, transformer encoder, one transposed convolution."""

    def __init__(self, config: HarmonyTransformerConfig) -> None:
        super().__init__()
        self.patch_to_embedding = nn.Sequential(Patches(PATCH), nn.Linear(PATCH * PATCH * 4, config.width))
        self.transformer_enc = Encoder(config, config.layers)
        self.dec = nn.Sequential(nn.ConvTranspose2d(config.width, 3, PATCH, PATCH), nn.Tanh())
        self.register_buffer("position", sine_grid(config.image_size // PATCH, config.width), persistent=False)

    def forward(self, composite: Tensor, mask: Tensor) -> Tensor:
        tokens = self.patch_to_embedding(torch.cat((composite, mask), 1))
        return cast(Tensor, self.dec(to_map(self.transformer_enc(tokens, self.position))))


class ConvHT(nn.Module):
    """HT (v1.0): convolutional encoder, transformer encoder, convolutional decoder."""

    def __init__(self, config: HarmonyTransformerConfig) -> None:
        super().__init__()
        self.enc = ConvEncoder(config.base, config.width)
        self.transformer_enc = Encoder(config, config.layers)
        self.dec = ConvDecoder(config.base, config.width)
        self.register_buffer("position", sine_grid(config.image_size // PATCH, config.width), persistent=False)

    def forward(self, composite: Tensor, mask: Tensor) -> Tensor:
        tokens = to_tokens(self.enc(torch.cat((composite, mask), 1)))
        return cast(Tensor, self.dec(to_map(self.transformer_enc(tokens, self.position))))


class DHT(nn.Module):
    """DHT+ (main) and D-HT (v1.0): reflectance times an illumination rendered from light codes of the background."""

    def __init__(self, config: HarmonyTransformerConfig) -> None:
        super().__init__()
        self.reflectance_enc = ConvEncoder(config.base, config.width)
        self.reflectance_transformer_enc = Encoder(config, config.layers)
        self.reflectance_dec = ConvDecoder(config.base, config.width)
        self.light_generator = LightGenerator(config)
        self.illumination_render = Decoder(config, config.render_layers)
        self.illumination_dec = ConvDecoder(config.base, config.width)
        self.register_buffer("position", sine_grid(config.image_size // PATCH, config.width), persistent=False)

    def forward(self, composite: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        tokens = to_tokens(self.reflectance_enc(torch.cat((composite, mask), 1)))
        tokens = self.reflectance_transformer_enc(tokens, self.position)
        reflectance = self.reflectance_dec(to_map(tokens)) / 2 + 0.5
        light, light_position = self.light_generator(composite * (1 - mask), mask)
        lit = self.illumination_render(tokens, light, self.position, light_position)
        illumination = self.illumination_dec(to_map(lit)) / 2 + 0.5
        return reflectance * illumination, reflectance, illumination


class LightGenerator(nn.Module):
    """Learned queries read the light of the background: [B,3,S,S] without foreground to [B, codes, width]."""

    def __init__(self, config: HarmonyTransformerConfig) -> None:
        super().__init__()
        self.patches = Patches(LIGHT_PATCH)
        self.patch_embedding = nn.Sequential(nn.Linear(LIGHT_PATCH * LIGHT_PATCH * 3, config.width))
        if config.form == "dht_v1":
            self.transformer_enc = Encoder(config, config.light_layers)
        self.transformer_dec = Decoder(config, config.light_layers)
        self.light_embed = nn.Embedding(config.light_codes, config.width)
        self.register_buffer("position", sine_grid(config.image_size // LIGHT_PATCH, config.width), persistent=False)

    def forward(self, background: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        foreground = F.max_pool2d(mask, LIGHT_PATCH).flatten(1) > 0
        bias = hide(foreground)
        memory = self.patch_embedding(self.patches(background))
        if hasattr(self, "transformer_enc"):
            memory = self.transformer_enc(memory, self.position, bias)
        query = self.light_embed.weight[None]
        start = torch.zeros_like(query).expand(background.shape[0], -1, -1)
        return self.transformer_dec(start, memory, query, self.position, bias), query


class Encoder(nn.Module):
    """Stack of encoder layers without a final norm, under the published key `encoder.layers`."""

    def __init__(self, config: LayerSizes, layers: int) -> None:
        super().__init__()
        stack = (EncoderLayer(config.width, config.heads, config.feedforward) for _ in range(layers))
        self.encoder = nn.ModuleDict({"layers": nn.ModuleList(stack)})

    def forward(self, x: Tensor, position: Tensor, bias: Tensor | None = None) -> Tensor:
        for layer in cast(nn.ModuleList, self.encoder["layers"]):
            x = layer(x, position, bias)
        return x


class Decoder(nn.Module):
    """Stack of decoder layers with a final LayerNorm, under the published keys `decoder.layers` and `decoder.norm`."""

    def __init__(self, config: LayerSizes, layers: int) -> None:
        super().__init__()
        stack = (DecoderLayer(config.width, config.heads, config.feedforward) for _ in range(layers))
        self.decoder = nn.ModuleDict({"layers": nn.ModuleList(stack), "norm": nn.LayerNorm(config.width)})

    def forward(
        self,
        x: Tensor,
        memory: Tensor,
        position: Tensor,
        memory_position: Tensor | None = None,
        bias: Tensor | None = None,
    ) -> Tensor:
        for layer in cast(nn.ModuleList, self.decoder["layers"]):
            x = layer(x, memory, position, memory_position, bias)
        return cast(Tensor, self.decoder["norm"](x))


class ConvEncoder(nn.Module):
    """[B,4,S,S] to [B,width,S/4,S/4]: reflection-padded convolutions, instance norm, LeakyReLU."""

    def __init__(self, base: int, width: int) -> None:
        super().__init__()
        self.model = nn.Sequential(
            ConvBlock(4, base, 7, 1, 3, nn.InstanceNorm2d(base)),
            ConvBlock(base, 2 * base, 4, 2, 1, nn.InstanceNorm2d(2 * base)),
            ConvBlock(2 * base, width, 4, 2, 1, nn.InstanceNorm2d(width)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.model(x))


class ConvDecoder(nn.Module):
    """[B,width,S/4,S/4] to [B,3,S,S] in -1..1. Index 0 is where the published decoder has an empty residual stack."""

    def __init__(self, base: int, width: int) -> None:
        super().__init__()
        self.model = nn.Sequential(
            nn.Identity(),
            nn.Upsample(scale_factor=2),
            ConvBlock(width, 2 * base, 5, 1, 2, ImageNorm(2 * base)),
            nn.Upsample(scale_factor=2),
            ConvBlock(2 * base, base, 5, 1, 2, ImageNorm(base)),
            ConvBlock(base, 3, 7, 1, 3, None),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.model(x))


class ConvBlock(nn.Module):
    """Reflection padding, convolution, and unless it is the last one, norm and LeakyReLU(0.2)."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int, padding: int, norm: nn.Module | None
    ) -> None:
        super().__init__()
        self.pad = nn.ReflectionPad2d(padding)
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride)
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(self.pad(x))
        return x if self.norm is None else F.leaky_relu(self.norm(x), 0.2)


class ImageNorm(nn.Module):
    """Normalises a whole feature map over C*H*W: unbiased std, and epsilon added to the std, not to the variance."""

    def __init__(self, channels: int, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.gamma = nn.Parameter(torch.ones(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        values = x[0].numel()
        centred = x - image_mean(x)
        std = (image_mean(centred.square()) * (values / (values - 1))).sqrt()
        return centred / (std + self.epsilon) * self.gamma[:, None, None] + self.beta[:, None, None]


def image_mean(x: Tensor) -> Tensor:
    """Mean over C*H*W as [B,1,1,1], in two steps: one FP32 sum over millions of values loses digits in a runtime."""
    return x.mean((2, 3), keepdim=True).mean(1, keepdim=True)


class Patches(nn.Module):
    """[B,C,S,S] to [B,(S/size)^2,size*size*C]; a patch is flattened as (y, x, channel)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        x = x.reshape(b, c, h // self.size, self.size, w // self.size, self.size)
        return x.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)


def to_tokens(x: Tensor) -> Tensor:
    """[B,C,H,W] to [B,H*W,C]."""
    return x.flatten(2).transpose(1, 2)


def to_map(x: Tensor) -> Tensor:
    """[B,S*S,C] to [B,C,S,S]."""
    side = int(x.shape[1] ** 0.5)
    return cast(Tensor, x.transpose(1, 2).unflatten(2, (side, side)))


def sine_grid(side: int, width: int) -> Tensor:
    """Un-normalised DETR sine positions [1, side*side, width]: y channels, then x channels, counted from 1."""
    half = width // 2
    index = torch.arange(half)
    frequency = 10000.0 ** (2 * (index // 2) / half)
    angle = torch.arange(1, side + 1)[:, None] / frequency
    line = torch.where(index % 2 == 0, angle.sin(), angle.cos())
    y = line[:, None].expand(side, side, half)
    x = line[None].expand(side, side, half)
    return torch.cat((y, x), -1).reshape(1, side * side, width)
