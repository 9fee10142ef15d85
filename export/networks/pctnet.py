"""PCT-Net (CVPR 2023), convolutional or a transformer: a colour map for every pixel, to be applied at full size.

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
from export.networks.ssam_unet import UnetDecoder, UnetEncoder
from export.state_dict import StateDict

PARAMETERS = 12  # of a pixel: a 3x3 matrix, row by row, and an offset
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class PctNetConfig:
    """Sizes of a PCT-Net; the defaults are the published ones.

    `channels` is of the convolutional form's first level; the rest is of the transformer.
    """

    form: Literal["cnn", "vit"]
    channels: int = 32
    width: int = 256
    heads: int = 2
    feedforward: int = 512
    layers: int = 9


class PctNet(nn.Module):
    """What both forms have in common: how the predicted parameters become a picture.

    As in the published code, the colours that are mapped are normalised by `mean` and `std`, and those that they are
    mapped to are of 0..1.
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
        """As published: the parameters, the picture at both sizes, the enlarged parameters, the attention if any."""
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
        mapped = ((matrices(parameters) * image[:, None]).sum(2) + parameters[:, 9:]).clamp(0, 1)
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


class ServedPctNet(nn.Module):
    """`composite` uint8 RGB [B,S,S,3] and `mask` uint8 [B,S,S] of 0/1 to the colour map FP32 [B,13,S,S].

    See `concord.colour_map`; it holds for pictures of 0..1, as they are before any normalisation.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = cast(PctNet, network)

    def forward(self, composite: Tensor, mask: Tensor) -> Tensor:
        mean, std = self.network.mean, self.network.std
        image = composite.to(torch.float32).permute(0, 3, 1, 2) / 255
        parameters, attention = self.network.predict((image - mean) / std, mask.to(torch.float32)[:, None])
        matrix = matrices(parameters) / std
        offset = parameters[:, 9:] - (matrix * mean).sum(2)
        colour_map = torch.cat((matrix.flatten(1, 2), offset), 1)
        if attention is None:
            return F.pad(colour_map, (0, 0, 0, 0, 0, 1), value=1.0)
        return torch.cat((colour_map, attention), 1)


def matrices(parameters: Tensor) -> Tensor:
    """[B,12,H,W] to the matrices [B,3,3,H,W]."""
    return cast(Tensor, parameters[:, :9].unflatten(1, (3, 3)))


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
    outputs=(ServedTensor("COLOUR_MAP", "FP32", (PARAMETERS + 1, SMALL_SIZE, SMALL_SIZE)),),
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
