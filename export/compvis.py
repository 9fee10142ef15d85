"""Stable Diffusion's UNet from CompVis's checkpoints, and from diffusers' under CompVis's keys."""

import re
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from export import stable_diffusion
from export.checkpoint import CheckpointError, named
from export.diffusers_folder import CONFIG, read_json
from export.networks.compvis_unet import CompVisUnetConfig
from export.networks.latent_diffusion import LATENT_CHANNELS
from export.networks.unet import LEVELS

UNET = "model.diffusion_model."
FIRST = f"{UNET}input_blocks.0.0.weight"
TEXT = "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight"
CONTEXT = f"{UNET}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
FAMILIES = {1024: "Stable Diffusion 2", 1280: "latent-diffusion's text2img-large", 2048: "Stable Diffusion XL"}

_ENDS = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "mid_block.resnets.0": "middle_block.0",
    "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
_RESIDUAL = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_BLOCK = re.compile(r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.+)")


def published_sizes(configs: Path | None) -> CompVisUnetConfig:
    """Stable Diffusion 1's sizes, or those of the folder `configs` with diffusers' `unet/config.json`."""
    if configs is None:
        return CompVisUnetConfig()
    path = configs / "unet" / CONFIG
    with torch.device("meta"):
        return named(path, lambda: sizes(UNet2DConditionModel.from_config(read_json(path))))


def unet_weights(weights: dict[str, Tensor], config: CompVisUnetConfig) -> dict[str, Tensor]:
    """A whole checkpoint's weights of the UNet, without their prefix.

    Raises:
        CheckpointError: they are missing, or those of another family, which is named.
    """
    first, context = weights.get(FIRST), weights.get(CONTEXT)
    if first is None:
        raise CheckpointError(f"no Stable Diffusion in CompVis's layout: {FIRST} is missing")
    stable_diffusion.check_channels(first, LATENT_CHANNELS)
    width = 0 if context is None or context.ndim != 2 else context.shape[1]
    if width != config.context and width in FAMILIES:
        raise CheckpointError(
            f"the UNet's text is {width} wide: that of {FAMILIES[width]}. PHDiffusion runs on Stable Diffusion 1, "
            f"whose is {config.context}"
        )
    return {key.removeprefix(UNET): value for key, value in weights.items() if key.startswith(UNET)}


def from_diffusers(
    entries: dict[str, Any] | None, weights: dict[str, Tensor]
) -> tuple[CompVisUnetConfig, dict[str, Tensor]]:
    """Sizes and weights under CompVis's keys of a text-to-image UNet in diffusers' layout; see `stable_diffusion.unet`.

    Raises:
        CheckpointError: as there, or it is of another form than Stable Diffusion 1's.
    """
    network = stable_diffusion.unet(entries, weights, LATENT_CHANNELS)
    config = sizes(network)
    return config, {compvis_key(key, config.layers): value for key, value in network.state_dict().items()}


def sizes(network: UNet2DConditionModel) -> CompVisUnetConfig:
    """The sizes of diffusers' UNet; CheckpointError where it has another form than Stable Diffusion 1's."""
    found = network.config
    wanted = {
        "down_block_types": (*["CrossAttnDownBlock2D"] * (LEVELS - 1), "DownBlock2D"),
        "up_block_types": ("UpBlock2D", *["CrossAttnUpBlock2D"] * (LEVELS - 1)),
        "use_linear_projection": False,
        "norm_num_groups": 32,
        "flip_sin_to_cos": True,
        "freq_shift": 0,
    }
    for name, value in wanted.items():
        given = tuple(found[name]) if isinstance(found[name], list) else found[name]
        if given != value:
            raise CheckpointError(f"its config has {name} {given}; Stable Diffusion 1 has {value}")
    if not all(isinstance(found[name], int) for name in ("attention_head_dim", "layers_per_block")):
        raise CheckpointError("its levels have different numbers of heads or layers; Stable Diffusion 1's do not")
    return CompVisUnetConfig(
        channels_in=found.in_channels,
        channels_out=found.out_channels,
        widths=tuple(found.block_out_channels),
        layers=found.layers_per_block,
        heads=found.attention_head_dim,  # in diffusers' UNet the number of heads has this name
        context=found.cross_attention_dim,
    )


def compvis_key(key: str, layers: int) -> str:
    """CompVis's name of a key of diffusers' UNet; a key of no known part stays as it is."""
    module, _, kind = key.rpartition(".")
    if match := _BLOCK.fullmatch(key):
        way, level, part, number, rest = match[1], int(match[2]), match[3], int(match[4]), match[5]
        block = level * (layers + 1) + number
        if way == "down":
            name = f"input_blocks.{block + 1 + layers * (part == 'downsamplers')}"
        else:
            name = f"output_blocks.{block + layers * (part == 'upsamplers')}"
        match part:
            case "resnets":
                return f"{name}.0.{_residual(rest)}"
            case "attentions":
                return f"{name}.1.{rest}"
            case "downsamplers":
                return f"{name}.0.{rest.replace('conv', 'op')}"
        # Behind a transformer, where the level has them.
        return f"{name}.{1 + (level > 0)}.{rest}"
    for theirs, name in _ENDS.items():
        if module == theirs:
            return f"{name}.{kind}"
        if key.startswith(f"{theirs}.") and "mid_block" in theirs:
            rest = key.removeprefix(f"{theirs}.")
            return f"{name}.{_residual(rest) if 'resnets' in theirs else rest}"
    return key


def _residual(rest: str) -> str:
    name, _, kind = rest.partition(".")
    return f"{_RESIDUAL.get(name, name)}.{kind}"
