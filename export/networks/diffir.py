"""DiffIR (ICCV 2023), stage 2, for inpainting: a transformer that is led by a prior, which a short diffusion finds.

Xia et al., "DiffIR: Efficient Diffusion Model for Image Restoration". State-dict compatible with the generator in the
authors' Lightning checkpoints for CelebA-HQ and Places2 and of the larger one for Places2. The diffusion predicts the
prior itself and adds no noise on its way, so that its steps are one graph, and the noise that it begins with an input.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from concord.loops.diffir import PRIOR, DiffIR
from concord.noise import SeededNoise
from concord.scenes.scene import Scene
from concord.squash import squash_image, squash_mask
from export.half_precision import NORMS, SOFTMAX
from export.network import BATCH, Feeds, Network, Quantization, ServedTensor, Serving, noise_image
from export.networks.dirformer import Dirformer
from export.state_dict import StateDict

MULTIPLE = DiffIR.multiple
UNSHUFFLED = 4  # the prior is read from blocks of so many pixels each way
MASKED = 4  # channels: the picture without what is in the hole, and the mask
PERIOD = 10  # a timestep is told as its share of so many times their number
PREFIX = "generator."  # of the keys in the trainer's file
ALIASES = {"diffusion.condition.": "condition.", "diffusion.model.": "denoise."}  # names that weights have besides
SIZES = {1: (32, 32), 2: (24, 32), 3: (16, 32)}  # batch to height and width, in multiples, of what it is checked with


@dataclass(frozen=True)
class DiffIRConfig:
    """Sizes of a DiffIR; the defaults are those of the networks for CelebA-HQ and Places2.

    `width` is of the transformer's first level, `features` a quarter of the prior's. `resolution`, in pixels, is the
    side of the largest square in which it fills holes well, and not a size of the network.
    """

    width: int = 52
    blocks: tuple[int, ...] = (1, 1, 1, 9)
    heads: tuple[int, ...] = (1, 2, 4, 8)
    features: int = PRIOR // 4
    condition_blocks: int = 5
    steps: int = 4
    resolution: int = 512


PLACES_BIG = DiffIRConfig(blocks=(1, 1, 1, 20), condition_blocks=8)


class DiffIRNet(nn.Module):
    """RGB [B,3,H,W] of 0..1 and mask [B,1,H,W], 1 in the hole, to the whole picture [B,3,H,W] and its prior [B,C].

    `noise` [B,C] is the prior that the diffusion begins with. H and W are multiples of 8. The picture is not clamped.
    """

    def __init__(self, config: DiffIRConfig) -> None:
        super().__init__()
        prior = 4 * config.features
        self.G = Dirformer(config.width, config.blocks, config.heads, inputs=MASKED, prior=prior)
        self.condition = PriorEncoder(config.features, config.condition_blocks)
        self.denoise = Denoiser(prior, PERIOD * config.steps)
        # The published file has their weights under these names, too.
        self.diffusion = Diffusion(self.denoise, self.condition, config.steps)

    def forward(self, image: Tensor, mask: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        masked = torch.cat((image * (1 - mask), mask), 1)
        prior = self.diffusion(masked, noise)
        return self.G(masked, prior), prior


class PriorEncoder(nn.Module):
    """A masked picture [B,4,H,W] to the condition of its prior [B,C]."""

    def __init__(self, features: int, blocks: int) -> None:
        super().__init__()

        def convolution(inputs: int, outputs: int) -> tuple[nn.Module, nn.Module]:
            return nn.Conv2d(inputs, outputs, 3, padding=1), nn.LeakyReLU(0.1)

        self.E = nn.Sequential(
            *convolution(MASKED * UNSHUFFLED**2, features),
            *(ResidualBlock(features) for _ in range(blocks)),
            *convolution(features, 2 * features),
            *convolution(2 * features, 2 * features),
            *convolution(2 * features, 4 * features),
        )
        width = 4 * features
        self.mlp = nn.Sequential(nn.Linear(width, width), nn.LeakyReLU(0.1), nn.Linear(width, width), nn.LeakyReLU(0.1))

    def forward(self, masked: Tensor) -> Tensor:
        return cast(Tensor, self.mlp(self.E(F.pixel_unshuffle(masked, UNSHUFFLED)).mean((2, 3))))


class ResidualBlock(nn.Module):
    """Two convolutions, whose answer is added to what they are given."""

    def __init__(self, features: int) -> None:
        super().__init__()
        first, second = (nn.Conv2d(features, features, 3, padding=1) for _ in range(2))
        self.body = nn.Sequential(first, nn.LeakyReLU(0.1), second)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, x + self.body(x))


class Denoiser(nn.Module):
    """A noisy prior and its condition [B,C], and a timestep, to the prior without noise."""

    def __init__(self, prior: int, period: int) -> None:
        super().__init__()
        self.period = period
        self.resmlp = nn.Sequential(nn.Linear(2 * prior + 1, prior), nn.LeakyReLU(0.1), Layer(prior))

    def forward(self, noisy: Tensor, timestep: int, condition: Tensor) -> Tensor:
        time = torch.full_like(condition[:, :1], timestep / self.period)
        return cast(Tensor, self.resmlp(torch.cat((condition, time, noisy), 1)))


class Layer(nn.Module):
    """One layer; the published code names it a residual one, and adds nothing."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.resmlp = nn.Sequential(nn.Linear(width, width), nn.LeakyReLU(0.1))

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.resmlp(x))


class Diffusion(nn.Module):
    """A masked picture and noise [B,C] to the prior, in a few steps to the mean of what the next can be."""

    posterior_mean_coef1: Tensor
    posterior_mean_coef2: Tensor

    def __init__(self, model: Denoiser, condition: PriorEncoder, steps: int) -> None:
        super().__init__()
        self.model, self.condition, self.steps = model, condition, steps
        for name, values in schedule(steps).items():
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32))

    def forward(self, masked: Tensor, noise: Tensor) -> Tensor:
        condition, prior = self.condition(masked), noise
        for step in reversed(range(self.steps)):
            clean = self.model(prior, step, condition)
            prior = self.posterior_mean_coef1[step] * clean + self.posterior_mean_coef2[step] * prior
        return prior


def schedule(steps: int) -> dict[str, Any]:
    """The constants of the diffusion, by their published names: betas from 0.1 to 0.99, linear in their roots."""
    betas = np.linspace(0.1**0.5, 0.99**0.5, steps) ** 2
    kept = np.cumprod(1 - betas)
    before = np.append(1.0, kept[:-1])
    variance = betas * (1 - before) / (1 - kept)
    return {
        "betas": betas,
        "alphas_cumprod": kept,
        "alphas_cumprod_prev": before,
        "sqrt_alphas_cumprod": np.sqrt(kept),
        "sqrt_one_minus_alphas_cumprod": np.sqrt(1 - kept),
        "log_one_minus_alphas_cumprod": np.log(1 - kept),
        "sqrt_recip_alphas_cumprod": np.sqrt(1 / kept),
        "sqrt_recipm1_alphas_cumprod": np.sqrt(1 / kept - 1),
        "posterior_variance": variance,
        "posterior_log_variance_clipped": np.log(np.maximum(variance, 1e-20)),
        "posterior_mean_coef1": betas * np.sqrt(before) / (1 - kept),
        "posterior_mean_coef2": (1 - before) * np.sqrt(1 - betas) / (1 - kept),
    }


class ServedDiffIR(nn.Module):
    """`picture` uint8 RGB [B,H,W,3], `hole` uint8 [B,H,W] of 0/1 and `noise` FP32 [B,C] to the whole FP32 [B,3,H,W]."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, picture: Tensor, hole: Tensor, noise: Tensor) -> Tensor:
        image = picture.to(torch.float32).permute(0, 3, 1, 2) / 255
        return cast(Tensor, self.network(image, hole.to(torch.float32)[:, None], noise)[0])


def own(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The generator's weights: those of a trainer's file, which has its losses' besides, or all of a file without.

    A file may leave out the names that weights have besides their own.
    """
    inside = {key.removeprefix(PREFIX): value for key, value in weights.items() if key.startswith(PREFIX)}
    found = inside or dict(weights)
    again = {
        alias + key.removeprefix(name): value
        for alias, name in ALIASES.items()
        for key, value in found.items()
        if key.startswith(name)
    }
    return again | found


def published(weights: Mapping[str, Tensor]) -> DiffIRConfig:
    """The sizes of the published network that has these weights."""
    return PLACES_BIG if "G.latent.9.norm1.body.weight" in own(weights) else DiffIRConfig()


def draw(batch: int, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Pictures with holes: scattered pixels, and a box in the last of a batch."""
    height, width = (MULTIPLE * each for each in SIZES[batch])
    picture = noise_image(batch, max(height, width), generator)[:, :height, :width].contiguous()
    hole = (torch.rand(batch, height, width, generator=generator) < 0.3).to(torch.uint8)
    hole[-1] = 0
    hole[-1, height // 4 : height // 2, width // 4 : width // 2] = 1
    return picture, hole, torch.randn(batch, PRIOR, generator=generator)


def seen(scenes: Iterator[Scene], _repository: Path) -> Iterator[Feeds]:
    """Scenes as they should be, and a hole where one of their objects is."""
    for number, scene in enumerate(scenes):
        yield {
            "PICTURE": squash_image(scene.truth),
            "HOLE": squash_mask(scene.mask),
            "PRIOR_NOISE": SeededNoise(number).draw(0, (PRIOR,)),
        }


HEIGHT, WIDTH = (MULTIPLE * torch.export.Dim(name, min=1, max=512) for name in ("height", "width"))
NETWORK = Network(
    name="diffir",
    inputs=(
        ServedTensor("PICTURE", "UINT8", (-1, -1, 3)),
        ServedTensor("HOLE", "UINT8", (-1, -1)),
        ServedTensor("PRIOR_NOISE", "FP32", (PRIOR,)),
    ),
    outputs=(ServedTensor("DRAWN", "FP32", (3, -1, -1)),),
    draw=draw,
    axes=({0: BATCH, 1: HEIGHT, 2: WIDTH}, {0: BATCH, 1: HEIGHT, 2: WIDTH}, {0: BATCH}),
    source=StateDict(
        claims=lambda keys: any(f"{prefix}denoise.resmlp.0.weight" in keys for prefix in ("", PREFIX)),
        own=own,
        published=published,
        build=DiffIRNet,
        served=ServedDiffIR,
    ),
    published={
        "diffir_s2_inpainting": lambda: DiffIRNet(DiffIRConfig()),
        "diffir_s2_inpainting_places_big": lambda: DiffIRNet(PLACES_BIG),
    },
    golden=("diffir_s2_inpainting",),
    islands=(NORMS, SOFTMAX),
    quantization=Quantization("its last layer draws the picture", ends=True, transformer=False),
    seen=seen,
    serving=Serving(batch=2, gpu_batch=4, patience_seconds=300),
)
