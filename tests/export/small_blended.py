"""Blended Diffusion's networks, small, and the checkpoints that they are published in."""

from dataclasses import replace
from pathlib import Path

import torch

from export.networks.blended_guidance import BlendedConfig, BlendedGuidanceNet
from export.networks.clip import VisionConfig
from export.networks.guided_unet import GuidedUnet, GuidedUnetConfig
from export.networks.openai_clip import EMBEDDING

UNET = GuidedUnetConfig(widths=(32, 64, 64), attending=1)
CLIP = VisionConfig(embedding=EMBEDDING, patch=32, vision_width=64, vision_heads=1, vision_layers=1)
SIDE = 64


def network(seed: int = 0) -> BlendedGuidanceNet:
    """Of pictures of 64 x 64; its noise is a small one, as that of a network that was trained."""
    torch.manual_seed(seed)
    found = BlendedGuidanceNet(BlendedConfig(UNET, CLIP, SIDE)).eval().requires_grad_(False)
    found.unet.out[2].weight.mul_(0.1)
    return found


def save_diffusion(path: Path, **sizes: int) -> Path:
    """As `256x256_diffusion_uncond.pt`."""
    torch.manual_seed(1)
    torch.save(GuidedUnet(replace(UNET, **sizes)).state_dict(), path)
    return path
