"""PHDiffusion's UNet (Stable Diffusion 1.4): the noise in a latent, told by an adapter of the composite.

Lu et al., "Painterly Image Harmonization using Diffusion Model" (ACM Multimedia 2023).
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Generator, Tensor, nn

from concord.noise import SeededNoise
from concord.samplers import make_sampler
from concord.scenes.scene import Scene
from concord.squash import LATENT_STRIDE, latent_mask, squash_image, squash_mask
from export.half_precision import NORMS, SOFTMAX
from export.network import BATCH, Feeds, Network, Quantization, ServedTensor, Serving
from export.networks import phdiffusion_adapter, phdiffusion_encoder
from export.networks.compvis_unet import CompVisUnet, CompVisUnetConfig
from export.networks.feature_fusion import FeatureFusion, FusionBlock
from export.networks.latent_diffusion import HEIGHT, LATENT, LATENT_CHANNELS, PATIENCE, SEEN_SIDE, WIDTH, latent_axes
from export.networks.phdiffusion_adapter import FEATURES
from export.networks.unet import LEVELS, TIMESTEP, unit
from export.onnx_file import session
from export.publication import exported

SMALL = CompVisUnetConfig(widths=(32, 64, 128, 128), heads=4, context=48)  # of the published answers
FUSED = (2, 3)  # levels
STEPS, START = 10, 3  # of what it sees, at as high timesteps as those of a request


class PaintingUnet(CompVisUnet):
    """Adds an adapter's features to what ends each level, before it is kept for the decoder.

    Those of the two coarsest levels are fused before with what they are added to: `interact_blocks`, beside Stable
    Diffusion's own keys.
    """

    def __init__(self, config: CompVisUnetConfig) -> None:
        super().__init__(config)
        self.interact_blocks = FeatureFusion(config.widths[-len(FUSED) :])

    def forward(  # type: ignore[override]
        self,
        x: Tensor,
        timesteps: Tensor,
        context: Tensor,
        fg_mask: Tensor,
        feature0: Tensor,
        feature1: Tensor,
        feature2: Tensor,
        feature3: Tensor,
    ) -> Tensor:
        """As `CompVisUnet`, with `fg_mask` [B,1,h,w] of 0 and 1 and features [B,C,h,w], [B,C,h/2,w/2], ..."""
        features = feature0, feature1, feature2, feature3
        levels = {self.config.last_of_level(level): level for level in range(LEVELS)}
        blocks = dict(zip(FUSED, cast(list[FusionBlock], self.interact_blocks), strict=True))

        def told(number: int, stream: Tensor) -> Tensor:
            if number not in levels:
                return stream
            level = levels[number]
            feature = features[level]
            if level in blocks:
                feature = blocks[level](feature, stream, fg_mask, 1 << level)
            return stream + feature

        return self.denoised(x, timesteps, context, told)


class ServedPaintingUnet(nn.Module):
    """The noise FP32 [B,4,h,w] in `latent` at `timestep` FP32 [B,1], for text `states` FP32 [n,d].

    `mask` FP32 [B,1,h,w] of 0 and 1; of the features, as wide as the published, a narrower UNet reads the first ones.
    """

    def __init__(self, network: PaintingUnet, states: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("states", states, persistent=False)

    def forward(
        self,
        latent: Tensor,
        timestep: Tensor,
        mask: Tensor,
        feature0: Tensor,
        feature1: Tensor,
        feature2: Tensor,
        feature3: Tensor,
    ) -> Tensor:
        states = cast(Tensor, self.states).expand(latent.shape[0], -1, -1)
        given = zip((feature0, feature1, feature2, feature3), self.network.config.widths, strict=True)
        features = (each if each.shape[1] == width else each[:, :width] for each, width in given)
        return cast(Tensor, self.network(latent, timestep[:, 0], states, mask, *features))


def draw(batch: int, generator: Generator) -> tuple[Tensor, ...]:
    """A noisy latent, a timestep, a mask that is empty for none, and features."""
    height, width = ((unit(LEVELS)) * units for units in {1: (4, 4), 2: (2, 3), 3: (1, 2)}[batch])
    latent = torch.randn(batch, LATENT_CHANNELS, height, width, generator=generator)
    mask = (torch.rand(batch, 1, height, width, generator=generator) < 0.5).to(torch.float32)
    features = (
        torch.randn(batch, each.dims[0], height >> level, width >> level, generator=generator)
        for level, each in enumerate(FEATURES)
    )
    return latent, torch.tensor([[701.0], [361.0], [1.0]])[:batch], mask, *features


def seen(scenes: Iterator[Scene], repository: Path) -> Iterator[Feeds]:
    """Every call of a diffusion of each scene, with the composite's latent outside the mask."""
    names = (phdiffusion_encoder.NETWORK.name, phdiffusion_adapter.NETWORK.name, NETWORK.name)
    encoder, adapter, network = (session(exported(repository, name)) for name in names)
    for scene in scenes:
        composite = squash_image(scene.composite, SEEN_SIDE)[np.newaxis]
        small_mask = squash_mask(scene.mask, SEEN_SIDE)
        [clean] = encoder.run(None, {"COMPOSITE": composite})
        features = adapter.run(None, {"COMPOSITE": composite, "COMPOSITE_MASK": small_mask[np.newaxis]})
        told = {tensor.name: value[0] for tensor, value in zip(FEATURES, features, strict=True)}
        mask = latent_mask(small_mask)
        sampler, noise = make_sampler("plms", STEPS, START), SeededNoise(0)
        latent = sampler.noised(clean, noise.draw(0, clean.shape), 0)
        for call, timestep in enumerate(sampler.timesteps):
            outside = sampler.noised(clean, noise.draw(call + 1, clean.shape), call)
            latent = np.where(mask > 0, latent, outside)
            sample: Feeds = {
                "LATENT": latent[0],
                "TIMESTEP": np.array([timestep], np.float32),
                "LATENT_MASK": mask,
                **told,
            }
            yield sample
            [predicted] = network.run(None, {name: value[np.newaxis] for name, value in sample.items()})
            latent = sampler.step(latent, predicted, call, noise.draw(call + 1, clean.shape))


def feature_axes(level: int) -> dict[int, object]:
    """Dynamic axes of a feature."""
    step = unit(LEVELS) >> level
    return {0: BATCH, 2: step * HEIGHT, 3: step * WIDTH}


LATENT_AXES = latent_axes(unit(LEVELS))
MASK = ServedTensor("LATENT_MASK", "FP32", (1, -1, -1), stride=LATENT_STRIDE)

NETWORK = Network(
    name="phdiffusion_unet",
    inputs=(
        LATENT,
        ServedTensor("TIMESTEP", "FP32", (1,)),
        MASK,
        *FEATURES,
    ),
    outputs=(ServedTensor("NOISE", "FP32", (LATENT_CHANNELS, -1, -1), stride=LATENT_STRIDE),),
    draw=draw,
    axes=(LATENT_AXES, {0: BATCH}, LATENT_AXES, *map(feature_axes, range(LEVELS))),
    published={
        "phdiffusion_unet": partial(PaintingUnet, CompVisUnetConfig()),
        "phdiffusion_unet_small": partial(PaintingUnet, SMALL),
        "phdiffusion_interact": partial(FeatureFusion, (1280, 1280)),
    },
    golden=("phdiffusion_unet_small", "phdiffusion_interact"),
    islands=(TIMESTEP, NORMS, SOFTMAX),
    quantization=Quantization(
        "what is left of the noise at the end is small",
        ("Sin", "Cos"),
        ends=True,
        joining=[MASK.name, *(feature.name for feature in FEATURES)],
    ),
    seen=seen,
    # Steps that are sent together reach the batcher one by one, hence the delay.
    serving=Serving(batch=4, gpu_batch=4, patience_seconds=PATIENCE),
)
