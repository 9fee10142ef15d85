"""Latent diffusion's text-to-image model `text2img-large`: what its networks have in common.

Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models" (2022). State-dict compatible with the
authors' `model.ckpt`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from torch import Tensor, nn

from concord.word_pieces import FILE, LENGTH, WordPieces
from export.ldm_checkpoint import AUTOENCODER, AVERAGES, UNET
from export.network import ServedTensor
from export.networks.compvis_unet import CompVisUnet, CompVisUnetConfig
from export.networks.kl_autoencoder import KlAutoencoder, KlConfig
from export.networks.text_transformer import TextTransformer, TextTransformerConfig
from export.networks.text_unet import Texts
from export.state_dict import StateDict

PIECES = "cond_stage_model.transformer.token_emb.weight"
WIDTH = TextTransformerConfig.width
IGNORED = (AVERAGES, f"{AUTOENCODER}loss.")
TOKENIZER = "ldm_text2img_tokenizer"
"""The model that looks word pieces up."""

TOKENS = ServedTensor("TOKENS", "INT64", (LENGTH,))
STATES = ServedTensor("STATES", "FP32", (LENGTH, WIDTH))


@dataclass(frozen=True)
class LdmText2ImgConfig:
    """Sizes of the three parts; the defaults are the published ones.

    `pieces`, `text_width` and `text_layers` are of the text encoder; `features`, `multiples` and `autoencoder_layers`
    of the autoencoder; `groups`, of channels that are normalized together, of it and of the UNet.
    """

    widths: tuple[int, ...] = (320, 640, 1280, 1280)
    layers: int = CompVisUnetConfig.layers
    heads: int = 8
    pieces: int = TextTransformerConfig.pieces
    text_width: int = WIDTH
    text_layers: int = TextTransformerConfig.layers
    features: int = KlConfig.width
    multiples: tuple[int, ...] = KlConfig.multiples
    autoencoder_layers: int = KlConfig.layers
    groups: int = KlConfig.groups

    @property
    def unet(self) -> CompVisUnetConfig:
        return CompVisUnetConfig(
            widths=self.widths, layers=self.layers, heads=self.heads, context=self.text_width, groups=self.groups
        )

    @property
    def text(self) -> TextTransformerConfig:
        return TextTransformerConfig(self.pieces, self.text_width, self.text_layers)

    @property
    def autoencoder(self) -> KlConfig:
        return KlConfig(self.features, self.multiples, self.autoencoder_layers, self.groups)


class TextAndUnet(nn.Module):
    """Text encoder and UNet under the published keys."""

    def __init__(self, unet: CompVisUnetConfig, text: TextTransformerConfig) -> None:
        super().__init__()
        self.model = nn.ModuleDict({"diffusion_model": CompVisUnet(unet)})
        self.cond_stage_model = nn.ModuleDict({"transformer": TextTransformer(text)})

    @property
    def unet(self) -> CompVisUnet:
        return cast(CompVisUnet, self.model["diffusion_model"])

    @property
    def text(self) -> nn.Module:
        return self.cond_stage_model["transformer"]

    def forward(self, x: Tensor, timesteps: Tensor, context: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """The noise for a context, and the states of tokens."""
        return self.unet(x, timesteps, context), self.text(tokens)


class LdmText2ImgNet(TextAndUnet):
    """All three parts."""

    def __init__(self, config: LdmText2ImgConfig) -> None:
        super().__init__(config.unet, config.text)
        self.first_stage_model = KlAutoencoder(config.autoencoder)


PUBLISHED = {
    "ldm_text2img_large": lambda: LdmText2ImgNet(LdmText2ImgConfig()),
    "ldm_text2img_small": lambda: TextAndUnet(
        CompVisUnetConfig(widths=(32, 64, 128, 128), heads=4, context=48), TextTransformerConfig(1000, 64, 4)
    ),
}
GOLDEN = ("ldm_text2img_small",)
PUBLISHED_HALVES = {"ldm_kl_small": lambda: KlAutoencoder(KlConfig(width=32))}
GOLDEN_HALVES = ("ldm_kl_small",)
"""Of the autoencoder."""


def claims(keys: Collection[str]) -> bool:
    """Whether a checkpoint with these keys is one of this model."""
    return all(key in keys for key in (f"{UNET}input_blocks.0.0.weight", PIECES, f"{AUTOENCODER}quant_conv.weight"))


def own(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A file's weights without what a trainer keeps besides: constants of the schedule, the autoencoder's critic."""
    return {key: value for key, value in weights.items() if "." in key and not key.startswith(IGNORED)}


def sizes(weights: Mapping[str, Tensor]) -> LdmText2ImgConfig:
    """The published ones, with a vocabulary of any number of word pieces."""
    table = weights.get(PIECES)
    return LdmText2ImgConfig() if table is None or table.ndim != 2 else LdmText2ImgConfig(pieces=len(table))


SOURCE = StateDict(
    claims=claims, own=own, published=sizes, build=LdmText2ImgNet, served=lambda network: network, large=True
)


def texts(repository: Path) -> Texts:
    """What reads a text in a repository, and the tokens of none."""
    pieces = WordPieces.load(repository / TOKENIZER / "1" / FILE)
    return lambda text: pieces.encode(text)[0], pieces.empty
