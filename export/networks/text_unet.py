"""UNets that find the noise in a latent for a text: what those of text-to-image models have in common."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from torch import Generator, Tensor, nn

from concord.loops.latent import guided
from concord.loops.text_conditions import Tokens
from concord.noise import SeededNoise
from concord.samplers.ddim import Ddim
from concord.scenes.scene import Scene
from concord.squash import LATENT_STRIDE
from export.half_precision import NORMS, SOFTMAX
from export.network import BATCH, Feeds, Maker, Network, NotPublished, Quantization, ServedTensor, Serving
from export.networks.latent_diffusion import LATENT, LATENT_CHANNELS, PATIENCE, SEEN_SIDE, draw_latent, latent_axes
from export.networks.unet import LEVELS, TIMESTEP, unit
from export.onnx_file import session
from export.publication import exported

TIMESTEPS = (981.0, 481.0, 1.0)
STEPS, SCALE = 5, 5.0  # of what it sees

Texts = tuple[Callable[[bytes], Tokens], Tokens]
"""What gives the tokens of a text, and those of none."""


class ServedTextUnet(nn.Module):
    """The noise FP32 [B,4,h,w] in `latent` at `timestep` FP32 [B,1], for text `states` FP32 [B,n,d].

    Of the states a UNet for narrower ones, `width`, reads the first numbers.
    """

    def __init__(self, network: nn.Module, width: int) -> None:
        super().__init__()
        self.network = network
        self.width = width
        self.bare = {"return_dict": False} if isinstance(network, UNet2DConditionModel) else {}

    def forward(self, latent: Tensor, timestep: Tensor, states: Tensor) -> Tensor:
        answer = self.network(latent, timestep[:, 0], states[..., : self.width], **self.bare)
        return cast(Tensor, answer[0] if self.bare else answer)


def draw(batch: int, generator: Generator, states: ServedTensor) -> tuple[Tensor, ...]:
    """A noisy latent, a timestep and states."""
    latent = draw_latent(batch, generator, unit(LEVELS))
    return latent, torch.tensor(TIMESTEPS[:batch])[:, None], torch.randn(batch, *states.dims, generator=generator)


def seen(
    scenes: Iterator[Scene], repository: Path, encoder: str, unet: str, texts: Callable[[Path], Texts]
) -> Iterator[Feeds]:
    """Every call of a diffusion for each scene's expression, and that for no text beside it, by these models."""
    encoding, network = (session(exported(repository, name)) for name in (encoder, unet))
    tokens_of, empty = texts(repository)
    for scene in scenes:
        tokens = np.stack([tokens_of(scene.expression.encode()), empty])
        [states] = encoding.run(None, {"TOKENS": tokens})
        sampler, side = Ddim(STEPS), SEEN_SIDE // LATENT_STRIDE
        latent = SeededNoise(0).draw(0, (LATENT_CHANNELS, side, side))
        for step, timestep in enumerate(sampler.timesteps):
            pair = [{"LATENT": latent, "TIMESTEP": np.array([timestep], np.float32), "STATES": each} for each in states]
            yield from pair
            together = {name: np.stack([each[name] for each in pair]) for name in pair[0]}
            [[told, untold]] = network.run(None, together)
            latent = sampler.step(latent, guided(told, untold, SCALE), step, latent)


def text_unet(
    name: str,
    states: ServedTensor,
    seen: Maker,
    published: Mapping[str, Callable[[], nn.Module]],
    golden: tuple[str, ...] | NotPublished,
) -> Network:
    """The declaration of one; see `Network`."""
    return Network(
        name=name,
        inputs=(LATENT, ServedTensor("TIMESTEP", "FP32", (1,)), states),
        outputs=(ServedTensor("NOISE", "FP32", (LATENT_CHANNELS, -1, -1), stride=LATENT_STRIDE),),
        draw=partial(draw, states=states),
        axes=(latent_axes(unit(LEVELS)), {0: BATCH}, {0: BATCH}),
        published=published,
        golden=golden,
        islands=(TIMESTEP, NORMS, SOFTMAX),
        quantization=Quantization("what is left of the noise at the end is small", ("Sin", "Cos"), ends=True),
        seen=seen,
        # Four requests' steps, with and without their text; they reach the batcher one by one, hence the delay.
        serving=Serving(batch=8, gpu_batch=4, patience_seconds=PATIENCE),
    )
