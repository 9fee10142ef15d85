"""TAESD, a tiny autoencoder for Stable Diffusion's latents: its layers, and how its published files are told apart.

madebyollin/taesd (MIT): plain convolutions that learned to answer as Stable Diffusion's VAE does. The halves are
published as bare state dicts, and both together in diffusers' folder of an `AutoencoderTiny`. Latents are those that a
UNet works on: neither half scales them.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Literal

import torch
from diffusers.models.autoencoders.vae import DecoderTiny, EncoderTiny
from torch import Tensor, nn

from export.checkpoint import CheckpointError, with_sizes
from export.diffusers_folder import DiffusersFolder
from export.networks.latent_diffusion import LATENT_CHANNELS

Half = Literal["encoder", "decoder"]
CLASS = "AutoencoderTiny"
FIXED = {"act_fn": "relu", "upsample_fn": "nearest", "upsampling_scaling_factor": 2, "scaling_factor": 1.0}
"""What the layers are built on, by the entry of diffusers' config."""
FAMILIES = {
    16: "Stable Diffusion 3 or FLUX.1 (taesd3, taef1)",
    32: "FLUX.2 or SANA (taef2, taesana)",
    128: "FLUX.2 (taef2)",
}
BLOCKS: dict[Half, tuple[int, ...]] = {"encoder": (1, 3, 3, 3), "decoder": (3, 3, 3, 1)}
FIRST: dict[Half, int] = {"encoder": 0, "decoder": 1}
"""Index of the first convolution in the authors' keys; in diffusers' it is 0."""


@dataclass(frozen=True)
class TinyConfig:
    """Blocks by level, in the half's order, and the width of every layer; the default is the published one."""

    blocks: tuple[int, ...]
    width: int = 64

    @property
    def widths(self) -> tuple[int, ...]:
        return (self.width,) * len(self.blocks)


class TinyEncoder(nn.Sequential):
    """Images FP32 [B,3,8h,8w] in 0..1 to latents [B,4,h,w]."""

    def __init__(self, config: TinyConfig) -> None:
        super().__init__(*EncoderTiny(3, LATENT_CHANNELS, config.blocks, config.widths, "relu").layers)


class TinyDecoder(nn.Sequential):
    """Latents FP32 [B,4,h,w] to images [B,3,8h,8w], nominally 0..1."""

    def __init__(self, config: TinyConfig) -> None:
        layers = DecoderTiny(LATENT_CHANNELS, 3, config.blocks, config.widths, 2, "relu", "nearest").layers
        super().__init__(Clamp(), *layers)


class Clamp(nn.Module):
    """Keeps a latent within -3..3, smoothly."""

    def forward(self, latent: Tensor) -> Tensor:
        return 3 * torch.tanh(latent / 3)


class TinyVae(nn.Module):
    """Both halves at the published sizes: an image and a latent to a latent and an image."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = TinyEncoder(TinyConfig(BLOCKS["encoder"]))
        self.decoder = TinyDecoder(TinyConfig(BLOCKS["decoder"]))

    def forward(self, image: Tensor, latent: Tensor) -> tuple[Tensor, Tensor]:
        return self.encoder(image), self.decoder(latent)


PUBLISHED = {"taesd": TinyVae}
"""The keys and the golden answers of both files together."""


def source(
    half: Half, build: Callable[[TinyConfig], nn.Module], served: Callable[[nn.Module], nn.Module]
) -> DiffusersFolder[TinyConfig]:
    """How a checkpoint of one half, or of both in diffusers' layout, becomes that half."""
    first, prefix = FIRST[half], f"{half}.layers."

    def claims(keys: Collection[str]) -> bool:
        return f"{prefix}0.weight" in keys or {f"{first}.weight", f"{1 + 2 * first}.conv.0.weight"} <= set(keys)

    def own(weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """The half's weights, under the authors' keys."""
        found = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
        return {re.sub(r"^\d+", lambda n: str(int(n[0]) + first), key): found[key] for key in found} or weights

    def sizes(config: dict[str, Any] | None, weights: dict[str, Tensor]) -> TinyConfig:
        config = config or {}
        check(config)
        layers = [key.removesuffix(".weight") for key in weights if re.fullmatch(r"\d+\.weight", key)]
        begin, end = (weights[f"{each(layers, key=int)}.weight"] for each in (min, max))
        if begin.ndim != 4 or end.ndim != 4:
            raise CheckpointError("its first and last layers are no convolutions")
        channels = end.shape[0] if half == "encoder" else begin.shape[1]
        if channels != LATENT_CHANNELS:
            family = FAMILIES.get(channels, "no family known here")
            raise CheckpointError(
                f"its latents have {channels} channels: it is of {family}. Those of Stable Diffusion 1 and 2 (taesd), "
                f"which is wanted here, have {LATENT_CHANNELS}"
            )
        sizes = {"blocks": config.get(f"num_{half}_blocks", BLOCKS[half])}
        return with_sizes(TinyConfig(BLOCKS[half], begin.shape[0]), sizes)

    return DiffusersFolder(claims=claims, sizes=sizes, build=build, served=lambda network, _: served(network), own=own)


def check(config: dict[str, Any]) -> None:
    """Refuse a config of another class, or of layers that are not built here."""
    if config.get("_class_name", CLASS) != CLASS:
        raise CheckpointError(f"its config is of {config['_class_name']}, not of {CLASS}")
    for entry, wanted in FIXED.items():
        if config.get(entry, wanted) != wanted:
            raise CheckpointError(f"its config has {entry} {config[entry]!r}; only {wanted!r} can be exported")
