"""Training a small KL-f8 autoencoder (the VAE of Stable Diffusion, `diffusers.AutoencoderKL`) on scenes."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from demo import sizes
from demo.photographs import HELD_OUT_FROM, make_photo_composite
from demo.scenes import make_scene
from demo.tasks import WEIGHTS, Batch
from export.serving import signed

CROPS = 4  # of each picture; a crop has half its sides
PHOTOGRAPHS = 0.25  # share of photographs
KL = 1e-6  # weight of the divergence from a normal distribution, as in latent diffusion


class Pixels(nn.Module):
    """`network` on uint8 RGB [B,S,S,3]."""

    def __init__(self, network: AutoencoderKL) -> None:
        super().__init__()
        self.network = network


class Autoencoder:
    """Squared error of the reconstruction, and a little divergence."""

    output = WEIGHTS / "diffharmony" / "vae"

    def build(self, size: int) -> nn.Module:
        return Pixels(AutoencoderKL(**sizes.VAE))

    @staticmethod
    def batch(size: int, count: int, seed: tuple[int, ...]) -> Batch:
        """Crops of `size` of pictures of twice that, each at a random place."""
        rng = np.random.default_rng(seed)
        crops = []
        while len(crops) < count:
            make: Any = make_photo_composite if rng.random() < PHOTOGRAPHS else make_scene
            sample = make(int(rng.integers(HELD_OUT_FROM)), (2 * size, 2 * size))
            picture = sample.composite if rng.random() < 0.5 else sample.truth
            for top, left in rng.integers(size + 1, size=(CROPS, 2)):
                crops.append(picture[top : top + size, left : left + size])
        return (np.stack(crops[:count]),)

    def loss(self, module: nn.Module, batch: Batch) -> Tensor:
        pixels = signed(torch.from_numpy(batch[0]))
        posterior = module.network.encode(pixels).latent_dist
        restored = module.network.decode(posterior.sample()).sample
        return (restored - pixels).square().mean() + KL * posterior.kl().mean()

    def read(self, path: Path) -> dict[str, Tensor]:
        return AutoencoderKL.from_pretrained(path).float().state_dict()

    def write(self, weights: dict[str, Tensor], path: Path) -> None:
        """The scaling factor makes the latents of scenes of variance 1, as Stable Diffusion's does for photographs."""
        network = AutoencoderKL(**sizes.VAE)
        network.load_state_dict(weights)
        with torch.no_grad():
            pixels = signed(torch.from_numpy(np.stack([make_scene(seed).composite for seed in range(16)])))
            latents = network.encode(pixels).latent_dist.mode()
        network.register_to_config(scaling_factor=round(1 / float(latents.std()), 5))
        network.half().save_pretrained(path)
