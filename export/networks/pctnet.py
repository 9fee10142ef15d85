"""PCT-Net (CVPR 2023), convolutional or a transformer: predicts a colour map for every pixel, to be applied at full size.

Guerreiro, Nakazawa and Stenger, "PCT-Net: Full Resolution Image Harmonization Using Pixel-Wise Color Transformations".
State-dict compatible with the authors' `PCTNet_CNN.pth` and `PCTNet_ViT.pth`; which one it is, its keys say.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from concord.repository.ensembles import Harmonizer
from concord.squash import SMALL_SIZE
from export.half_precision import NORMS, SOFTMAX, Island
from export.network import Network, Quantization, ServedTensor
from export.networks.attention import EncoderLayer
from export.networks.harmonizer import INPUTS, draw, seen
from export.networks.harmony_transformer import PATCH, Patches, to_map
from export.state_dict import StateDict

PARAMETERS = 12  # of a pixel: a 3x3 matrix, row by row, and an offset
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class PctNetConfig:
    """Sizes of a PCT-Net; the defaults are the published ones.

    `channels` is of the convolutional form's first level; `width`, `heads`, `feedforward`, `layers` are the transformer's.
    """

    form: Literal["cnn", "vit"]
    channels: int = 32
    width: int = 256
    heads: int = 2
    feedforward: int = 512
    layers: int = 9


class PctNet(nn.Module):
    """What both forms have in common: how the predicted parameters become a picture.

    With the published code, a picture is taken as the network is given it (`mean`, `std`), but what the colour map makes
    of it is taken as 0..1.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...], width: int) -> None:
        super().__init__()
        self.get_params = nn.Conv2d(width, PARAMETERS, 1)
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std)[:, None, None], persistent=False)

    def predict(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor | None]:
        """Normalised `image` [B,3,S,S] and `mask` [B,1,S,S] of 0/1 to parameters [B,12,S,S].

        And how much of the changed picture is taken, [B,1,S,S]; None where that is the mask.
        """
        raise NotImplementedError

    def forward(self, image: Tensor, mask: Tensor, image_fullres: Tensor, mask_fullres: Tensor) -> tuple[Tensor, ...]:
        """The published network: the parameters, the picture at both sizes, the parameters at full size, the attention."""
        parameters, attention = self.predict(image, mask)
        enlarged = enlarge(parameters, image_fullres)
        if attention is None:
            small = self.changed(image, parameters, mask)
            return parameters, small, self.changed(image_fullres, enlarged, mask_fullres), enlarged
        small = self.changed(image, parameters, attention)
        full = self.changed(image_fullres, enlarged, enlarge(attention, image_fullres))
        return parameters, small, full, enlarged, attention

    def changed(self, image: Tensor, parameters: Tensor, share: Tensor) -> Tensor:
        """A normalised picture, with a share of what the parameters make of it."""
        matrix, offset = parameters[:, :9].unflatten(1, (3, 3)), parameters[:, 9:]
        mapped = ((matrix * image[:, None]).sum(2) + offset).clamp(0, 1)
        return (mapped - self.mean) / self.std * share + image * (1 - share)


class ViT(PctNet):
    """Patches, transformer layers without positions, one transposed convolution."""

    def __init__(self, config: PctNetConfig) -> None:
        super().__init__((0.0,) * 3, (1.0,) * 3, PARAMETERS)
        self.encoder = PatchEncoder(config)

    def predict(self, image: Tensor, mask: Tensor) -> tuple[Tensor, None]:
        return self.get_params(self.encoder(torch.cat((image, mask), 1))), None


class PatchEncoder(nn.Module):
    """[B,4,S,S] to [B,12,S,S] in -1..1."""

    def __init__(self, config: PctNetConfig) -> None:
        super().__init__()
        self.patch_to_embedding = nn.Sequential(Patches(PATCH), nn.Linear(PATCH * PATCH * 4, config.width))
        self.transformer_enc = Encoder(config)
        self.dec = nn.Sequential(nn.ConvTranspose2d(config.width, PARAMETERS, PATCH, PATCH), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.dec(to_map(self.transformer_enc(self.patch_to_embedding(x)))))


class Encoder(nn.Module):
    """Stack of encoder layers without positions and without a final norm."""

    def __init__(self, config: PctNetConfig) -> None:
        super().__init__()
        stack = (EncoderLayer(config.width, config.heads, config.feedforward) for _ in range(config.layers))
        self.layers = nn.ModuleList(stack)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x, None)
        return x


class Cnn(PctNet):
    """A U-Net of four levels whose last one attends to the mask."""

    def __init__(self, config: PctNetConfig) -> None:
        super().__init__(MEAN, STD, config.channels)
        self.encoder = UnetEncoder(config.channels)
        self.decoder = UnetDecoder(config.channels)

    def predict(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        features, attention = self.decoder(self.encoder(torch.cat((image, mask), 1)), mask)
        return self.get_params(features), attention


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
        return x * self.attention_transform(pooled)[:, :, None, None]


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


class ServedPctNet(nn.Module):
    """`composite` uint8 RGB [B,S,S,3] and `mask` uint8 [B,S,S] of 0/1 to the colour map FP32 [B,13,S,S].

    See `concord.colour_map`; it holds for pictures of 0..1, as they are before any normalisation.
    """

    def __init__(self, network: PctNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, composite: Tensor, mask: Tensor) -> Tensor:
        mean, std = self.network.mean, self.network.std
        image = composite.to(torch.float32).permute(0, 3, 1, 2) / 255
        parameters, attention = self.network.predict((image - mean) / std, mask.to(torch.float32)[:, None])
        matrix = parameters[:, :9].unflatten(1, (3, 3)) / std
        offset = parameters[:, 9:] - (matrix * mean).sum(2)
        colour_map = torch.cat((matrix.flatten(1, 2), offset), 1)
        if attention is None:
            return F.pad(colour_map, (0, 0, 0, 0, 0, 1), value=1.0)
        return torch.cat((colour_map, attention), 1)


def enlarge(x: Tensor, image: Tensor) -> Tensor:
    """At the size of a picture."""
    return F.interpolate(x, size=image.shape[2:], mode="bicubic", align_corners=False)


def build(config: PctNetConfig) -> PctNet:
    """The network of `config.form`."""
    return Cnn(config) if config.form == "cnn" else ViT(config)


def published(weights: Mapping[str, Tensor]) -> PctNetConfig:
    """The form that has these weights."""
    return PctNetConfig("vit" if "encoder.patch_to_embedding.1.weight" in weights else "cnn")


NETWORK = Network(
    name="pctnet",
    inputs=INPUTS,
    output=ServedTensor("COLOUR_MAP", "FP32", (PARAMETERS + 1, SMALL_SIZE, SMALL_SIZE)),
    draw=draw,
    source=StateDict(lambda keys: "get_params.weight" in keys, published, build, ServedPctNet),
    published={
        "pctnet_cnn": lambda: build(PctNetConfig("cnn")),
        "pctnet_vit": lambda: build(PctNetConfig("vit")),
    },
    golden=("pctnet_cnn", "pctnet_vit"),
    islands=(NORMS, SOFTMAX, Island("means over a whole map end beyond half's 65504", ("ReduceMean",))),
    quantization=Quantization(
        "the last layers give the colours: their error is a tint of all", ("ConvolutionBackpropData",), ends=True
    ),
    seen=seen,
    harmonizer=Harmonizer(
        "a colour map at full size; weights that a business may use", rank=25, compose="compose_colour_map"
    ),
)
