"""DiffHarmony's UNet (Stable Diffusion inpainting): the noise in a latent, given the composite and its mask."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from torch import Generator, Tensor, nn

from concord.noise import SeededNoise
from concord.samplers import make_sampler
from concord.scenes.scene import Scene
from concord.squash import LATENT_STRIDE, latent_mask, squash_image, squash_mask
from export.half_precision import NORMS, SOFTMAX, Island
from export.network import BATCH, Axes, Feeds, Network, NotPublished, Quantization, ServedTensor, Serving
from export.networks import vae_encoder
from export.networks.latent_diffusion import LATENT, LATENT_CHANNELS, PATIENCE, SEEN_SIDE, draw_latent, latent_axes
from export.onnx_file import session
from export.publication import exported
from export.winograd import TILE

CHANNELS = 2 * LATENT_CHANNELS + 1
INPAINTING: dict[str, Any] = {  # Stable Diffusion 1.5 inpainting; the rest are diffusers' defaults
    "in_channels": CHANNELS,
    "cross_attention_dim": 768,
    "layers_per_block": 2,
}
LEVELS = 4  # of resolution, at the published sizes
TIMESTEPS = (249.75, 999.0, 0.5)  # between the trained ones too: DiffHarmony's five are fractional
STEPS = 5  # of what it sees


class ServedUnet(nn.Module):
    """The noise FP32 [B,4,h,w] in `latent` at a fractional `timestep` FP32 [B,1], for text `states` FP32 [n,d].

    `mask` FP32 [B,1,h,w] of 0/1 and `composite_latent` FP32 [B,4,h,w] follow the noisy latent in the input channels, in
    this order (DiffHarmony; the composite is not masked out).
    """

    def __init__(self, network: nn.Module, states: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("states", states, persistent=False)

    def forward(self, latent: Tensor, timestep: Tensor, mask: Tensor, composite_latent: Tensor) -> Tensor:
        states = cast(Tensor, self.states).expand(latent.shape[0], -1, -1)
        sample = torch.cat((latent, mask, composite_latent), 1)
        return cast(Tensor, self.network(sample, timestep[:, 0], states, return_dict=False)[0])


def unit(levels: int) -> int:
    """Latent sides are multiples of it, which leaves whole tiles on all levels but the coarsest."""
    return (TILE << levels) // 4


def coarsest(levels: int) -> frozenset[str]:
    """Names of the modules, in a served UNet, that work on the coarsest maps.

    They are the smallest part of the work and have most of the weights, which a transform multiplies.
    """
    return frozenset((f"network.down_blocks.{levels - 1}", "network.mid_block", "network.up_blocks.0.resnets"))


def draw(batch: int, generator: Generator, levels: int = LEVELS) -> tuple[Tensor, ...]:
    """A noisy latent, a timestep, a mask and a clean latent for a UNet with so many levels."""
    noisy, clean = (draw_latent(batch, generator, unit(levels)) for _ in range(2))
    mask = (torch.rand(batch, 1, *noisy.shape[2:], generator=generator) < 0.5).to(torch.float32)
    return noisy, torch.tensor(TIMESTEPS[:batch])[:, None], mask, clean


def axes(levels: int = LEVELS) -> Axes:
    """The dynamic axes of a UNet with so many levels."""
    return latent_axes(unit(levels)), {0: BATCH}, latent_axes(unit(levels)), latent_axes(unit(levels))


def with_levels(levels: int) -> Network:
    """The declaration, for a UNet with another number of levels than the published."""
    return replace(NETWORK, draw=partial(draw, levels=levels), axes=axes(levels))


def seen(scenes: Iterator[Scene], repository: Path) -> Iterator[Feeds]:
    """Every step of a diffusion of each scene."""
    encoder, network = (session(exported(repository, name)) for name in (vae_encoder.NETWORK.name, NETWORK.name))
    for scene in scenes:
        [composite] = encoder.run(None, {"COMPOSITE": squash_image(scene.composite, SEEN_SIDE)[np.newaxis]})
        mask = latent_mask(squash_mask(scene.mask, SEEN_SIDE))
        sampler, noise = make_sampler("euler_ancestral", STEPS), SeededNoise(0)
        latent = noise.draw(0, composite.shape) * np.float32(sampler.initial_scale)
        for step, timestep in enumerate(sampler.timesteps):
            sample: Feeds = {
                "LATENT": sampler.scale(latent, step)[0],
                "TIMESTEP": np.array([timestep], np.float32),
                "LATENT_MASK": mask,
                "COMPOSITE_LATENT": composite[0],
            }
            yield sample
            [predicted] = network.run(None, {name: value[np.newaxis] for name, value in sample.items()})
            latent = sampler.step(latent, predicted, step, noise.draw(step + 1, composite.shape))


TIMESTEP = Island("timesteps are fractional; from 512 on half has steps of 0.5", ("Sin", "Cos"), upstream=True)

NETWORK = Network(
    name="unet",
    inputs=(
        LATENT,
        ServedTensor("TIMESTEP", "FP32", (1,)),
        ServedTensor("LATENT_MASK", "FP32", (1, -1, -1), stride=LATENT_STRIDE),
        ServedTensor("COMPOSITE_LATENT", "FP32", (LATENT_CHANNELS, -1, -1), stride=LATENT_STRIDE),
    ),
    outputs=(ServedTensor("NOISE", "FP32", (LATENT_CHANNELS, -1, -1), stride=LATENT_STRIDE),),
    draw=draw,
    axes=axes(),
    published={"sd15_inpaint_unet": lambda: UNet2DConditionModel(**INPAINTING)},
    golden=NotPublished("diffusers' own UNet is exported, and the export is compared with it"),
    islands=(TIMESTEP, NORMS, SOFTMAX),
    quantization=Quantization(
        "timesteps are fractional; what is left of the noise at the end is small", ("Sin", "Cos"), ends=True
    ),
    seen=seen,
    # Steps that are sent together reach the batcher one by one, hence the delay.
    serving=Serving(batch=4, gpu_batch=4, patience_seconds=PATIENCE),
)
