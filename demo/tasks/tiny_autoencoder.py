"""Training a tiny autoencoder (TAESD's layout, `diffusers.AutoencoderTiny`) to answer as the demo's VAE does."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from diffusers.models.unets.unet_2d_blocks import AutoencoderTinyBlock
from torch import Tensor, nn

from demo import sizes
from demo.tasks import Batch, Task
from demo.tasks.autoencoder import Autoencoder, silence
from export.networks import latent_preview
from export.networks.latent_diffusion import signed
from export.networks.vae_encoder import ServedVaeEncoder

REUSED = 8  # steps to a batch of new pictures: to draw one costs as much as some steps
KEPT, TILES = 4096, 16  # pictures that a step's are drawn from, and those
TENT = torch.tensor([1.0, 2, 1]) / 4
NOISE = 0.2  # most of it in the latents to decode, which a sampler does not leave as clean as an encoder makes them


class TinyAutoencoder(Task):
    """Squared error of the encoder from the VAE's latents, and of the decoder from the VAE's pictures of latents."""

    output = Autoencoder.output.with_name("tiny_vae")

    def __init__(self) -> None:
        self.tiles = np.empty((0, 0, 0, 3), np.uint8)

    @staticmethod
    def batch(size: int, count: int, seed: tuple[int, ...]) -> Batch:
        """Quarters, of `size`, of the crops that the VAE was trained on; new ones once in `REUSED` steps, else none."""
        if seed[-1] % REUSED:
            return (np.empty((0, size, size, 3), np.uint8),)
        [crops] = Autoencoder.batch(2 * size, count, seed)
        rows = np.concatenate(np.split(crops, 2, axis=1))
        return (np.concatenate(np.split(rows, 2, axis=2)),)

    def build(self, size: int) -> nn.Module:
        self.tiles = self.tiles[:0]
        vae: Any = AutoencoderKL.from_pretrained(Autoencoder.output)
        self.vae = vae.float().eval()
        self.generator = torch.Generator().manual_seed(size)
        network: Any = AutoencoderTiny(**sizes.TINY_VAE)
        start_linear(network, vae)
        return nn.ModuleDict({"network": network})

    @torch.no_grad()
    def taught(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The scaled latents of pictures, latents near them, and the pictures of those."""
        factor = self.vae.config.scaling_factor
        latents = self.vae.encode(pixels).latent_dist.mode() * factor
        strength = NOISE * torch.rand(len(latents), 1, 1, 1, generator=self.generator)
        near = latents + strength * torch.randn(latents.shape, generator=self.generator)
        return latents, near, self.vae.decode(near / factor).sample

    def loss(self, module: nn.Module, batch: Batch) -> Tensor:
        network: Any = module.network  # an AutoencoderTiny, whose parts diffusers does not declare
        new = batch[0]
        self.tiles = np.concatenate((new, self.tiles))[:KEPT] if len(self.tiles) else new
        chosen = torch.randint(len(self.tiles), (TILES,), generator=self.generator).numpy()
        pixels = signed(torch.from_numpy(self.tiles[chosen]))
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


@torch.no_grad()
def start_linear(network: Any, vae: Any) -> None:
    """Lets a new AutoencoderTiny answer the latents that are linear in a block's mean colour, and the reverse.

    Colours pass in the first three channels, which are never negative; blocks begin as the identity.
    """
    tent, mean = torch.outer(TENT, TENT), torch.zeros(3, 3)
    mean[1:, 1:] = 1 / 4
    for block in (each for each in network.modules() if isinstance(each, AutoencoderTinyBlock)):
        silence(block.conv[4])
    for half, kernel in ((network.encoder, mean), (network.decoder, tent)):
        convolutions = [each for each in half.layers if isinstance(each, nn.Conv2d)]
        for each in convolutions[1:-1]:
            each.weight[:3] = 0
            for channel in range(3):
                each.weight[channel, channel] = kernel
    served = ServedVaeEncoder(vae.encoder, vae.quant_conv, vae.config.scaling_factor)
    weight, bias, _ = latent_preview.fit(served)
    image = torch.rand(64, 3, 1, 1).expand(-1, -1, 64, 64)
    latents = vae.encode(2 * image - 1).latent_dist.mode().mean((2, 3)) * vae.config.scaling_factor
    known = torch.cat((image[:, :, 0, 0], torch.ones(len(image), 1)), 1)
    solution = torch.linalg.lstsq(known, latents).solution
    encoder, decoder = network.encoder.layers, network.decoder.layers
    put(encoder[0], torch.eye(3), torch.zeros(3))
    put(encoder[-1], solution[:3].T, solution[3])
    put(decoder[0], weight.T, bias)
    put(decoder[-1], torch.eye(3), torch.zeros(3))


def put(convolution: Any, matrix: Tensor, bias: Tensor) -> None:
    """Makes the first channels of a convolution this map of its first channels, at each pixel, and nothing else."""
    rows, columns = matrix.shape
    convolution.weight[:rows] = 0
    convolution.weight[:rows, :columns, 1, 1] = matrix
    convolution.bias[:rows] = bias
