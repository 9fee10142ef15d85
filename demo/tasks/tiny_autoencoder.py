"""Training a tiny autoencoder (TAESD's layout, `diffusers.AutoencoderTiny`) to answer as the demo's VAE does."""

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from diffusers.models.unets.unet_2d_blocks import AutoencoderTinyBlock
from torch import Tensor, nn

from demo import sizes
from demo.tasks import WEIGHTS, Batch, Task
from demo.tasks.autoencoder import Autoencoder
from export.networks.latent_diffusion import signed

NOISE = 0.2  # most of it in the latents to decode, which a sampler does not leave as clean as an encoder makes them


class TinyAutoencoder(Task):
    """Squared error of the encoder from the VAE's latents, and of the decoder from the VAE's pictures of latents."""

    output = WEIGHTS / "diffharmony" / "tiny_vae"
    batch = staticmethod(Autoencoder.batch)

    def build(self, size: int) -> nn.Module:
        vae: Any = AutoencoderKL.from_pretrained(Autoencoder.output)
        self.vae = vae.float().eval()
        self.generator = torch.Generator().manual_seed(size)
        network: Any = AutoencoderTiny(**sizes.TINY_VAE)
        for block in (each for each in network.modules() if isinstance(each, AutoencoderTinyBlock)):
            last: Any = block.conv[4]
            nn.init.zeros_(last.weight)
        return nn.ModuleDict({"network": network})

    @torch.no_grad()
    @torch.autocast("cpu", enabled=False)  # type: ignore[untyped-decorator]
    def taught(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The scaled latents of pictures, latents near them, and the pictures of those."""
        factor = self.vae.config.scaling_factor
        latents = self.vae.encode(pixels).latent_dist.mode() * factor
        strength = NOISE * torch.rand(len(latents), 1, 1, 1, generator=self.generator)
        near = latents + strength * torch.randn(latents.shape, generator=self.generator)
        return latents, near, self.vae.decode(near / factor).sample

    def loss(self, module: nn.Module, batch: Batch) -> Tensor:
        network: Any = module.network  # an AutoencoderTiny, whose parts diffusers does not declare
        pixels = signed(torch.from_numpy(batch[0]))
        latents, near, pictures = self.taught(pixels)
        encoded, decoded = network.encode(pixels).latents, network.decode(near).sample
        loss: Tensor = 0.1 * (encoded - latents).square().mean() + (decoded - pictures).square().mean()
        return loss

    def read(self, path: Path) -> dict[str, Tensor]:
        return dict(AutoencoderTiny.from_pretrained(path).float().state_dict())

    def write(self, weights: dict[str, Tensor], path: Path) -> None:
        network: Any = AutoencoderTiny(**sizes.TINY_VAE)
        network.load_state_dict(weights)
        network.half().save_pretrained(path)
