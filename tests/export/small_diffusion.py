"""A Stable Diffusion pipeline and its companions, small, in the layouts in which they are published."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, EulerAncestralDiscreteScheduler, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel

from export.networks.harmony_vae import ConditionVae, ConditionVaeConfig
from export.networks.refinement import Refinement, RefinementConfig
from export.networks.tiny_vae import BLOCKS, Half, TinyConfig, TinyDecoder, TinyEncoder

WIDTH = 12  # of the text states
UNET: dict[str, Any] = {
    "in_channels": 9,
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "UpBlock2D"),
    "block_out_channels": (8, 16),
    "layers_per_block": 1,
    "cross_attention_dim": WIDTH,
    "attention_head_dim": 2,
    "norm_num_groups": 4,
}
VAE: dict[str, Any] = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (4, 4, 8, 8),
    "layers_per_block": 1,
    "norm_num_groups": 4,
}
TEXT: dict[str, Any] = {
    "hidden_size": WIDTH,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "max_position_embeddings": 5,
}
HARMONY_VAE = ConditionVaeConfig(block_out_channels=(4, 4, 8, 8), layers_per_block=1, norm_num_groups=4)


def unet(seed: int = 0, **sizes: Any) -> UNet2DConditionModel:
    torch.manual_seed(seed)
    return UNet2DConditionModel(**UNET | sizes).eval()


def vae(seed: int = 0, **sizes: Any) -> AutoencoderKL:
    torch.manual_seed(seed)
    return AutoencoderKL(**VAE | sizes).eval()


def text_encoder(seed: int = 0, **sizes: Any) -> CLIPTextModel:
    torch.manual_seed(seed)
    return CLIPTextModel(CLIPTextConfig(**TEXT | sizes)).eval()


def refinement_config(channels: int) -> RefinementConfig:
    return RefinementConfig(channels, block_out_channels=(4, 4, 8, 8), layers_per_block=1, norm_num_groups=4)


def harmony_vae(seed: int = 0) -> ConditionVae:
    torch.manual_seed(seed)
    return ConditionVae(HARMONY_VAE).eval()


def refinement(channels: int, seed: int = 0) -> Refinement:
    torch.manual_seed(seed)
    return Refinement(refinement_config(channels)).eval()


def tiny_vae(seed: int = 0) -> dict[Half, TinyEncoder | TinyDecoder]:
    """Both halves, with the published blocks."""
    torch.manual_seed(seed)
    encoder, decoder = (TinyConfig(BLOCKS[half], width=8) for half in ("encoder", "decoder"))
    return {"encoder": TinyEncoder(encoder).eval(), "decoder": TinyDecoder(decoder).eval()}


def save_pipeline(folder: Path, safe: bool = True, text: bool = True, seed: int = 0) -> Path:
    """`unet/`, `vae/`, `scheduler/` and `text_encoder/`, as diffusers saves them."""
    unet(seed).save_pretrained(folder / "unet", safe_serialization=safe)
    vae(seed).save_pretrained(folder / "vae", safe_serialization=safe)
    scheduler = EulerAncestralDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    scheduler.save_pretrained(folder / "scheduler")
    if text:
        text_encoder(seed).save_pretrained(folder / "text_encoder")
    return folder


def save_companion(network: ConditionVae | Refinement, config: object, folder: Path) -> Path:
    """`config.json` and safetensors, as the authors' `condition_vae/` and `refinement/`."""
    folder.mkdir(parents=True, exist_ok=True)
    named = {"_class_name": type(network).__name__, "_diffusers_version": "0.20.0", "act_fn": "silu"} | asdict(config)
    (folder / "config.json").write_text(json.dumps(named))
    weights = {key: value.contiguous() for key, value in network.state_dict().items()}
    save_file(weights, folder / "diffusion_pytorch_model.safetensors")
    return folder
