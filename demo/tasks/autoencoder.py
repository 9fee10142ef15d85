"""Training a small KL-f8 autoencoder (the VAE of Stable Diffusion, `diffusers.AutoencoderKL`) on scenes."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from diffusers.models.attention_processor import Attention
from diffusers.models.downsampling import Downsample2D
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.upsampling import Upsample2D
from numpy.typing import NDArray
from torch import Tensor, nn

from concord.scenes.scene import make_scene
from demo import sizes
from demo.tasks import WEIGHTS, Batch, Task
from demo.tasks.harmonizer import drawn
from export.networks.latent_diffusion import signed

CONSTANT = 3.0  # initially makes the last normalizations independent of the picture
CROPS = 4  # per picture; a crop has half its sides
PHOTOGRAPHS = 0.6  # share of photographs
KL = 1e-6  # weight of the divergence from a normal distribution, as in latent diffusion


class Autoencoder(Task):
    """Squared error of the reconstruction, and a small share of the divergence."""

    output = WEIGHTS / "diffharmony" / "vae"

    def build(self, size: int) -> nn.Module:
        network = AutoencoderKL(**sizes.VAE)
        start_linear(network)
        return nn.ModuleDict({"network": network})

    @staticmethod
    def batch(size: int, count: int, seed: tuple[int, ...]) -> Batch:
        """Crops of `size` at random places of pictures of twice that size."""
        rng = np.random.default_rng(seed)
        crops: list[NDArray[np.uint8]] = []
        while len(crops) < count:
            composites, _, truths = drawn(rng, 2 * size, 1, PHOTOGRAPHS)
            picture = (composites if rng.random() < 0.5 else truths)[0]
            for top, left in rng.integers(size + 1, size=(CROPS, 2)):
                crops.append(picture[top : top + size, left : left + size])
        return (np.stack(crops[:count]),)

    def loss(self, module: nn.Module, batch: Batch) -> Tensor:
        network: Any = module.network  # an AutoencoderKL, whose parts diffusers does not declare
        pixels = signed(torch.from_numpy(batch[0]))
        posterior = network.encode(pixels).latent_dist
        restored = network.decode(posterior.sample()).sample
        loss: Tensor = (restored - pixels).square().mean() + KL * posterior.kl().mean()
        return loss

    def read(self, path: Path) -> dict[str, Tensor]:
        return dict(AutoencoderKL.from_pretrained(path).float().state_dict())

    def write(self, weights: dict[str, Tensor], path: Path) -> None:
        """The scaling factor makes the latents of scenes of variance 1, as Stable Diffusion's does for photographs."""
        network: Any = AutoencoderKL(**sizes.VAE)
        network.load_state_dict(weights)
        with torch.no_grad():
            pixels = signed(torch.from_numpy(np.stack([make_scene(seed).composite for seed in range(16)])))
            latents = network.encode(pixels).latent_dist.mode()
        network.register_to_config(scaling_factor=round(1 / float(latents.std()), 5))
        network.half().save_pretrained(path)


@torch.no_grad()
def start_linear(network: Any) -> None:
    """Lets a new AutoencoderKL keep every 8x8 block's mean colour, which would take the first thousands of steps.

    Colours pass in pairs of opposite sign, since silu(x) - silu(-x) = x, beside a pair of constants that outweigh them
    in their normalization group; residual branches begin at zero.
    """
    mean = torch.zeros(3, 3)
    mean[:2, :2] = 1 / 4
    tent = torch.outer(torch.tensor([1.0, 2, 1]), torch.tensor([1.0, 2, 1])) / 16
    for half in (network.encoder, network.decoder):
        for module in half.modules():
            match module:
                case ResnetBlock2D():
                    silence(module.conv2)
                    if module.conv_shortcut is not None:
                        pass_on(module.conv_shortcut, torch.ones(1, 1))
                case Attention():
                    silence(module.to_out[0])
                case Downsample2D():
                    pass_on(module.conv, mean)
                case Upsample2D():
                    pass_on(module.conv, tent)
        first, last = half.conv_in, half.conv_out
        first.weight[:8] = first.bias[:8] = 0
        last.weight *= 0.1
        last.weight[:3] = 0
        last.bias.zero_()
        deviation = CONSTANT * (2 / (half.conv_norm_out.num_channels / half.conv_norm_out.num_groups)) ** 0.5
        pass_in_pairs(first, last, 3, CONSTANT, deviation)
    network.encoder.conv_out.weight[4:] *= 0.1
    network.encoder.conv_out.bias[4:] = -9  # the logarithm of the posterior's variance
    for projection in (network.quant_conv, network.post_quant_conv):
        pass_on(projection, torch.ones(1, 1), projection.out_channels)


def pass_on(convolution: Any, kernel: Tensor, channels: int = 8) -> None:
    """Gives the first channels their own filtered input and nothing else."""
    convolution.weight[:channels] = convolution.bias[:channels] = 0
    for channel in range(channels):
        convolution.weight[channel, channel] = kernel


def pass_in_pairs(first: Any, last: Any, channels: int, constant: float, deviation: float) -> None:
    """Carries the first channels from one convolution to another in pairs of opposite sign, beside a pair of constants.

    The last convolution multiplies by the deviation with which the normalization before it has divided.
    """
    for channel in range(channels):
        for place, sign in ((2 * channel, 1), (2 * channel + 1, -1)):
            first.weight[place, channel, 1, 1] = sign
            last.weight[channel, place, 1, 1] = sign * deviation
    first.bias[2 * channels], first.bias[2 * channels + 1] = constant, -constant


def silence(layer: Any) -> None:
    """Makes a layer answer zeros."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
