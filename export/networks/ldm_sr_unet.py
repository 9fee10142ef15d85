"""The UNet of latent diffusion's super-resolution model: the noise in a latent, given the picture to enlarge."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor

from concord.arrays import as_signed
from concord.loops.ldm_sr import BATCH as WINDOWS
from concord.loops.ldm_sr import sampler_of
from concord.noise import SeededNoise
from concord.scenes.scene import Scene
from concord.squash import squash_image
from export.half_precision import NORMS, SOFTMAX
from export.network import BATCH, Feeds, Network, Quantization, ServedTensor, Serving
from export.networks.latent_diffusion import PATIENCE
from export.networks.ldm_inpainting import draw_latent
from export.networks.ldm_sr import AXES, GOLDEN, LATENT, PUBLISHED, planes
from export.networks.unet import TIMESTEP
from export.onnx_file import session
from export.publication import exported

TIMESTEPS = (991.0, 481.0, 1.0)
STEPS = 5  # of what it sees
SEEN_SIDE = 64  # pixels, what it was trained with


def draw(batch: int, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
    """A noisy latent, a timestep, and a picture."""
    latent, picture = (draw_latent(batch, generator) for _ in range(2))
    return latent, torch.tensor(TIMESTEPS[:batch])[:, None], picture.clamp(-1, 1)


def seen(scenes: Iterator[Scene], repository: Path) -> Iterator[Feeds]:
    """Every step of the way to an enlarged picture of each scene."""
    for *steps, _ in drawn(scenes, repository):
        yield from steps


def drawn(scenes: Iterator[Scene], repository: Path) -> Iterator[list[Feeds]]:
    """Of each scene, what the network is given at every step, and the latent at the end."""
    network = session(exported(repository, NETWORK.name))
    for scene in scenes:
        picture = as_signed(squash_image(scene.truth, SEEN_SIDE))
        sampler, noise = sampler_of(STEPS), SeededNoise(0)
        latent, steps = noise.draw(0, picture.shape), []
        for step, timestep in enumerate(sampler.timesteps):
            sample: Feeds = {"LATENT": latent, "TIMESTEP": np.array([timestep], np.float32), "LOW_RES": picture}
            steps.append(sample)
            [[predicted]] = network.run(None, {name: value[np.newaxis] for name, value in sample.items()})
            latent = sampler.step(latent, predicted, step, noise.draw(step + 1, latent.shape))
        yield [*steps, {"LATENT": latent}]


NETWORK = Network(
    name="ldm_sr_unet",
    inputs=(LATENT, ServedTensor("TIMESTEP", "FP32", (1,)), planes("LOW_RES")),
    outputs=(planes("NOISE"),),
    draw=draw,
    axes=(AXES, {0: BATCH}, AXES),
    published=PUBLISHED,
    golden=GOLDEN,
    islands=(TIMESTEP, NORMS, SOFTMAX),
    quantization=Quantization("what is left of the noise at the end is small", ("Sin", "Cos"), ends=True),
    seen=seen,
    # Steps that are sent together reach the batcher one by one, hence the delay.
    serving=Serving(batch=WINDOWS, gpu_batch=WINDOWS, patience_seconds=PATIENCE),
)
