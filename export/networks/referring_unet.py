"""DiffReHarmony's UNet: the noise in a latent for a prompt, and where the foreground is that the prompt names.

DiffHarmony's UNet whose mask channel is all ones, with a convolution of one output channel on its penultimate features.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from torch import Generator, Tensor, nn

from concord.noise import SeededNoise
from concord.samplers import make_sampler
from concord.scenes.scene import Scene
from concord.squash import LATENT_STRIDE, squash_image
from concord.tokenizer import Tokenizer
from export.half_precision import NORMS, SOFTMAX
from export.network import BATCH, Axes, Feeds, Network, NotPublished, Quantization, ServedTensor, Serving
from export.networks import text_encoder, unet, vae_encoder
from export.networks.latent_diffusion import LATENT, LATENT_CHANNELS, PATIENCE, SEEN_SIDE, latent_axes
from export.networks.text_encoder import STATES, prompt
from export.networks.unet import LEVELS, STEPS, TIMESTEP, unit
from export.onnx_file import session
from export.publication import exported


class Ends(nn.Module):
    """Takes the place of a UNet's last norm and convolution: features [B,C,h,w] to noise and mask logits [B,4+1,h,w].

    The head reads what the last convolution reads, or with `head_before_norm` the features before their norm.
    """

    def __init__(self, network: UNet2DConditionModel, head: nn.Conv2d, head_before_norm: bool) -> None:
        super().__init__()
        self.norm, self.act, self.noise = network.conv_norm_out, network.conv_act, network.conv_out
        self.head = head
        self.head_before_norm = head_before_norm

    def forward(self, features: Tensor) -> Tensor:
        normalized = self.act(self.norm(features))
        logits = self.head(features if self.head_before_norm else normalized)
        return torch.cat((self.noise(normalized), logits), 1)


class ServedReferringUnet(nn.Module):
    """The noise FP32 [B,4,h,w] in `latent` at `timestep` FP32 [B,1], and mask logits FP32 [B,1,h,w].

    `composite_latent` FP32 [B,4,h,w]; `states` FP32 [B,77,768], of which a narrower UNet reads the first ones. The UNet
    is changed: `Ends` is its last layer.
    """

    def __init__(self, network: UNet2DConditionModel, head: nn.Conv2d, head_before_norm: bool) -> None:
        super().__init__()
        self.width = network.config.cross_attention_dim
        self.network = network
        network.conv_out = Ends(network, head, head_before_norm)
        network.conv_norm_out = None

    def forward(
        self, latent: Tensor, timestep: Tensor, composite_latent: Tensor, states: Tensor
    ) -> tuple[Tensor, Tensor]:
        sample = torch.cat((latent, torch.ones_like(latent[:, :1]), composite_latent), 1)
        answer = self.network(sample, timestep[:, 0], states[..., : self.width], return_dict=False)[0]
        return answer[:, :LATENT_CHANNELS], answer[:, LATENT_CHANNELS:]


def draw(batch: int, generator: Generator, levels: int = LEVELS) -> tuple[Tensor, ...]:
    """A noisy latent, a timestep, a clean latent and states for a UNet with so many levels."""
    noisy, timestep, _, clean = unet.draw(batch, generator, levels)
    return noisy, timestep, clean, torch.randn(batch, *STATES.dims, generator=generator)


def axes(levels: int = LEVELS) -> Axes:
    """The dynamic axes of a UNet with so many levels."""
    return latent_axes(unit(levels)), {0: BATCH}, latent_axes(unit(levels)), {0: BATCH}


def with_levels(levels: int) -> Network:
    """The declaration, for a UNet with another number of levels than the published."""
    return replace(NETWORK, draw=partial(draw, levels=levels), axes=axes(levels))


def seen(scenes: Iterator[Scene], repository: Path) -> Iterator[Feeds]:
    """Every step of a diffusion of each scene."""
    names = (vae_encoder.NETWORK.name, text_encoder.NETWORK.name, NETWORK.name)
    encoder, prompts, network = (session(exported(repository, name)) for name in names)
    tokenizer = Tokenizer.load()
    for scene in scenes:
        [composite] = encoder.run(None, {"COMPOSITE": squash_image(scene.composite, SEEN_SIDE)[np.newaxis]})
        [states] = prompts.run(None, {"TOKENS": prompt(scene.expression.encode(), tokenizer)[np.newaxis]})
        sampler, noise = make_sampler("dpmpp_2m", STEPS), SeededNoise(0)
        latent = noise.draw(0, composite.shape) * np.float32(sampler.initial_scale)
        for step, timestep in enumerate(sampler.timesteps):
            sample: Feeds = {
                "LATENT": sampler.scale(latent, step)[0],
                "TIMESTEP": np.array([timestep], np.float32),
                "COMPOSITE_LATENT": composite[0],
                "STATES": states[0],
            }
            yield sample
            predicted, _ = network.run(None, {name: value[np.newaxis] for name, value in sample.items()})
            latent = sampler.step(latent, predicted, step, noise.draw(step + 1, composite.shape))


NETWORK = Network(
    name="referring_unet",
    inputs=(
        LATENT,
        ServedTensor("TIMESTEP", "FP32", (1,)),
        ServedTensor("COMPOSITE_LATENT", "FP32", (LATENT_CHANNELS, -1, -1), stride=LATENT_STRIDE),
        STATES,
    ),
    outputs=(
        ServedTensor("NOISE", "FP32", (LATENT_CHANNELS, -1, -1), stride=LATENT_STRIDE),
        ServedTensor("MASK_LOGITS", "FP32", (1, -1, -1), stride=LATENT_STRIDE),
    ),
    draw=draw,
    axes=axes(),
    golden=NotPublished("it is known from its description alone; diffusers' own UNet is exported and compared with"),
    islands=(TIMESTEP, NORMS, SOFTMAX),
    quantization=Quantization(
        "timesteps are fractional; what is left of the noise at the end is small", ("Sin", "Cos"), ends=True
    ),
    seen=seen,
    # Steps that are sent together reach the batcher one by one, hence the delay.
    serving=Serving(batch=4, gpu_batch=4, patience_seconds=PATIENCE),
)
