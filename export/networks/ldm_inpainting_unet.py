"""The UNet of latent diffusion's inpainting model: the noise in a latent, given the picture around the hole."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor

from concord.loops.ldm_inpainting import CHANNELS, SCHEDULE, STRIDE
from concord.noise import SeededNoise
from concord.samplers.ddim import Ddim
from concord.scenes.scene import Scene
from export.half_precision import NORMS, SOFTMAX
from export.network import BATCH, Feeds, Network, Quantization, ServedTensor, Serving
from export.networks import ldm_inpainting_encoder
from export.networks.latent_diffusion import PATIENCE
from export.networks.ldm_inpainting import CONDITION, GOLDEN, LATENT, PUBLISHED, draw_latent, latent_axes
from export.networks.unet import TIMESTEP
from export.onnx_file import session
from export.publication import exported

TIMESTEPS = (981.0, 481.0, 1.0)
STEPS = 5  # of what it sees


def draw(batch: int, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
    """A noisy latent, a timestep, and a condition."""
    latent, condition = (draw_latent(batch, generator, channels) for channels in (CHANNELS, CHANNELS + 1))
    return latent, torch.tensor(TIMESTEPS[:batch])[:, None], condition


def seen(scenes: Iterator[Scene], repository: Path) -> Iterator[Feeds]:
    """Every step of a diffusion in the hole of each scene."""
    encoder, network = (session(exported(repository, each.name)) for each in (ldm_inpainting_encoder.NETWORK, NETWORK))
    for given in ldm_inpainting_encoder.seen(scenes, repository):
        [condition] = encoder.run(None, {name: value[np.newaxis] for name, value in given.items()})
        sampler, noise = Ddim(STEPS, schedule=SCHEDULE), SeededNoise(0)
        latent = noise.draw(0, condition[:, :CHANNELS].shape)
        for step, timestep in enumerate(sampler.timesteps):
            sample: Feeds = {
                "LATENT": latent[0],
                "TIMESTEP": np.array([timestep], np.float32),
                "CONDITION": condition[0],
            }
            yield sample
            [predicted] = network.run(None, {name: value[np.newaxis] for name, value in sample.items()})
            latent = sampler.step(latent, predicted, step, latent)


NETWORK = Network(
    name="ldm_inpainting_unet",
    inputs=(LATENT, ServedTensor("TIMESTEP", "FP32", (1,)), CONDITION),
    outputs=(ServedTensor("NOISE", "FP32", (CHANNELS, -1, -1), stride=STRIDE),),
    draw=draw,
    axes=(latent_axes(), {0: BATCH}, latent_axes()),
    published=PUBLISHED,
    golden=GOLDEN,
    islands=(TIMESTEP, NORMS, SOFTMAX),
    quantization=Quantization("what is left of the noise at the end is small", ("Sin", "Cos"), ends=True),
    seen=seen,
    # Steps that are sent together reach the batcher one by one, hence the delay.
    serving=Serving(batch=4, gpu_batch=4, patience_seconds=PATIENCE),
)
