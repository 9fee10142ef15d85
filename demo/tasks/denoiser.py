"""Training a small inpainting UNet of Stable Diffusion to harmonize scenes, as DiffHarmony (ICMR 2024) trains one."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor, nn

from concord.samplers.schedule import signal_power
from concord.squash import latent_mask
from demo import sizes
from demo.tasks import WEIGHTS, Batch, Task
from demo.tasks.autoencoder import Autoencoder, pass_in_pairs
from demo.tasks.harmonizer import drawn
from export.networks.latent_diffusion import signed

FOLDER = WEIGHTS / "diffharmony"
REUSED = 6  # mean number of batches that use a scene
KEPT = 4096  # scenes, drawn from at random
CONSTANT = 6.0  # initially makes the last normalization independent of the input
PHOTOGRAPHS = 0.5  # share of photographs
GUESSES = 0.5  # share of latents that hold a guess
BACKGROUND = 0.1  # weight of the noise outside the mask, where the network reads its own output of the step before


class Denoising(nn.Module):
    """`network` with its frozen text states and autoencoder."""

    network: Any  # a UNet2DConditionModel, whose parts diffusers does not declare
    states: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.network = UNet2DConditionModel(**sizes.UNET)
        states = torch.randn(sizes.TEXT_STATES, generator=torch.Generator().manual_seed(1))
        self.register_buffer("states", states, persistent=False)


class Denoiser(Task):
    """Predicts the noise in latents, mainly inside the mask.

    Half of the latents are the network's own first guess plus noise, as a sampler has them after a step, instead of the
    truth. So the network does not rely on the latent's content (exposure bias; Ning et al., ICML 2023), and few steps
    end near the mean of the possible pictures.

    Encoded pictures are kept for later batches, because drawing and encoding one costs as much as training on it.
    """

    output = FOLDER / "unet"

    def __init__(self) -> None:
        self.scenes: list[tuple[Tensor, ...]] = []
        kept = torch.from_numpy(signal_power())
        self.sigmas = ((1 - kept) / kept).sqrt().float()

    def build(self, size: int) -> nn.Module:
        self.scenes.clear()
        self.generator = torch.Generator().manual_seed(size)
        vae: Any = AutoencoderKL.from_pretrained(Autoencoder.output)
        self.vae = vae.float().eval()
        module = Denoising()
        network: Any = module.network  # whose parts diffusers does not declare
        top = network.up_blocks[-1].resnets[-1]
        start_at_noise(network.conv_in, [top.conv2], top.conv_shortcut, network.conv_norm_out, network.conv_out)
        module.network.to(memory_format=torch.channels_last)  # a third faster in BF16
        return module

    @staticmethod
    def batch(size: int, count: int, seed: tuple[int, ...]) -> Batch:
        """New pictures only, `count / REUSED` of them."""
        return drawn(np.random.default_rng(seed), size, max(1, count // REUSED), PHOTOGRAPHS)

    @torch.no_grad()
    @torch.autocast("cpu", enabled=False)  # type: ignore[untyped-decorator]
    def keep(self, batch: Batch) -> None:
        """Encode new scenes, and forget old ones."""
        composites, truths = torch.from_numpy(batch[0]), torch.from_numpy(batch[2])
        masks = torch.from_numpy(np.stack([latent_mask(mask // 255) for mask in batch[1]]))
        pictures = signed(torch.cat((composites, truths)))
        latents = self.vae.encode(pictures).latent_dist.mode() * self.vae.config.scaling_factor
        self.scenes += zip(latents[: len(masks)], masks, latents[len(masks) :], strict=True)
        del self.scenes[:-KEPT]

    def loss(self, module: nn.Module, batch: Batch) -> Tensor:
        assert isinstance(module, Denoising)
        self.keep(batch)
        count = len(batch[0]) * REUSED
        composite, mask, truth = self.chosen(count)
        states = module.states.expand(count, -1, -1)

        def answer(scaled: Tensor, time: Tensor) -> Tensor:
            noise: Tensor = module.network(torch.cat((scaled, mask, composite), 1), time, states).sample
            return noise

        return self.error(answer, mask, truth)

    def chosen(self, count: int) -> tuple[Tensor, ...]:
        """Of the scenes that are kept, so many: their parts as batches."""
        chosen = torch.randint(len(self.scenes), (count,), generator=self.generator).tolist()
        return tuple(torch.stack(parts) for parts in zip(*(self.scenes[i] for i in chosen), strict=True))

    def error(self, answer: Callable[[Tensor, Tensor], Tensor], mask: Tensor, truth: Tensor) -> Tensor:
        """The error of the noise that a network finds in latents at times [B]."""
        # Later times more often: they decide the foreground's colour, before the latent shows it.
        time = 999 * torch.rand(len(truth), generator=self.generator).sqrt()
        sigma = self.sigma(time)[:, None, None, None]

        def predicted(latent: Tensor, sigma: Tensor, time: Tensor) -> Tensor:
            """The noise, as the network sees it."""
            return answer(latent / (sigma.square() + 1).sqrt(), time)

        begin = torch.full_like(sigma, self.sigmas[-1].item())
        latent = begin * torch.randn(truth.shape, generator=self.generator)
        with torch.no_grad():
            guess = latent - begin * predicted(latent, begin, torch.full_like(time, 999))
        guessing = (torch.rand(sigma.shape, generator=self.generator) < GUESSES) & (sigma > 0.5)
        noise = torch.randn(truth.shape, generator=self.generator)
        latent = torch.where(guessing, guess, truth) + sigma * noise
        # An error of the noise is sigma times as large in the picture.
        weight = (mask + BACKGROUND) * sigma.clamp(min=0.3).square()
        return (weight * (predicted(latent, sigma, time) - (latent - truth) / sigma).square()).mean()

    def sigma(self, time: Tensor) -> Tensor:
        """Noise level at fractional times, linear between those of whole ones."""
        below = time.floor().long().clamp(max=998)
        return torch.lerp(self.sigmas[below], self.sigmas[below + 1], time - below)

    def read(self, path: Path) -> dict[str, Tensor]:
        return dict(UNet2DConditionModel.from_pretrained(path).float().state_dict())

    def write(self, weights: dict[str, Tensor], path: Path) -> None:
        module = Denoising()
        module.network.load_state_dict(weights)
        module.network.half().save_pretrained(path)
        save_file({"states": module.states}, path.parent / "null_text.safetensors")


@torch.no_grad()
def start_at_noise(first: Any, added: Sequence[Any], shortcut: Any, norm: Any, last: Any) -> None:
    """Makes a new UNet answer its noisy input, which at high noise levels is nearly the wanted noise.

    As in the autoencoder's start, the input passes in pairs of opposite sign beside a pair of constants; here along the
    outermost skip connection.

    Args:
        first: the convolution of the input.
        added: the layers whose answers are added to the last shortcut's.
        shortcut: that of the last residual block, for what comes from below and, behind that, along the skip.
        norm: the normalization in front of the last convolution.
        last: the convolution that answers.
    """
    width = first.out_channels
    for layer in (first, *added, shortcut):
        layer.weight[:10] = layer.bias[:10] = 0
    for channel in range(10):
        shortcut.weight[channel, width + channel] = 1
    last.weight *= 0.1
    last.bias.zero_()
    share = norm.num_groups / width
    deviation = (share * (2 * CONSTANT**2 + 8)) ** 0.5
    pass_in_pairs(first, last, 4, CONSTANT, deviation)
