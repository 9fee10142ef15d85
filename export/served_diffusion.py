"""The served networks of DiffHarmony: tensor names, dynamic axes, and inputs to check an export with.

Latents are [B, 4, h, w] and images eight times as high and wide. Exports are checked at several sizes, square and not,
and at timesteps between the trained ones: DiffHarmony's five are fractional.
"""

import torch
from torch import Generator, Tensor

from export.served_model import BATCH, Axes, ServedModel, image
from export.winograd import TILE

LATENT_CHANNELS = 4
FACTOR = 8  # pixels of an image an element of its latent covers, each way
HEIGHT, WIDTH = torch.export.Dim("height", min=1, max=512), torch.export.Dim("width", min=1, max=512)
UNITS = {1: (4, 4), 2: (2, 3), 3: (1, 2)}  # batch to latent height and width, in eights
TIMESTEPS = (249.75, 999.0, 0.5)


def latent_axes(unit: int = TILE) -> dict[int, object]:
    """Dynamic axes of a latent whose height and width are multiples of `unit`."""
    return {0: BATCH, 2: unit * HEIGHT, 3: unit * WIDTH}


def image_axes(height: int = 1) -> dict[int, object]:
    """Dynamic axes of a mask or an image [B, H, W, ...], or with its height at another place."""
    return {0: BATCH, height: TILE * FACTOR * HEIGHT, height + 1: TILE * FACTOR * WIDTH}


def latent(batch: int, generator: Generator, unit: int = FACTOR) -> Tensor:
    """FP32 [batch, 4, h, w], about a standard normal; h and w multiples of `unit`, and of 8 where that divides it."""
    height, width = (max(unit, FACTOR) * units for units in UNITS[batch])
    return torch.randn(batch, LATENT_CHANNELS, height, width, generator=generator)


def composite(batch: int, generator: Generator) -> Tensor:
    """uint8 [batch, 8h, 8w, 3]."""
    height, width = (FACTOR * FACTOR * units for units in UNITS[batch])
    square = image(batch, max(height, width), generator)
    return square[:, :height, :width].contiguous()


def mask(batch: int, generator: Generator) -> Tensor:
    """uint8 [batch, 8h, 8w] of 0/1: a disc in the first, everything in the last of a batch."""
    height, width = (FACTOR * FACTOR * units for units in UNITS[batch])
    rows, columns = torch.arange(height)[:, None] - height / 2, torch.arange(width) - width / 2
    disc = (rows**2 + columns**2).sqrt() < height / 4
    full = torch.ones_like(disc)
    return torch.stack([full if n and n == batch - 1 else disc for n in range(batch)]).to(torch.uint8)


def unet(levels: int) -> ServedModel:
    """The UNet with the empty prompt inside.

    Args:
        levels: of resolution. Latent sizes are multiples of what leaves whole tiles on all but the coarsest.
    """
    unit = TILE * 2**levels // 4

    def make(batch: int, generator: Generator) -> tuple[Tensor, ...]:
        noisy, clean = latent(batch, generator, unit), latent(batch, generator, unit)
        latent_mask = (torch.rand(batch, 1, *noisy.shape[2:], generator=generator) < 0.5).to(torch.float32)
        return noisy, torch.tensor(TIMESTEPS[:batch])[:, None], latent_mask, clean

    axes: Axes = (latent_axes(unit), {0: BATCH}, latent_axes(unit), latent_axes(unit))
    return ServedModel("unet", ("LATENT", "TIMESTEP", "LATENT_MASK", "COMPOSITE_LATENT"), "NOISE", 1e-4, make, axes)


def prompted_unet(levels: int, tokens: int, width: int) -> ServedModel:
    """The UNet that takes text states [B, tokens, width] with every call."""
    bare = unet(levels)

    def make(batch: int, generator: Generator) -> tuple[Tensor, ...]:
        return *bare.make(batch, generator), torch.randn(batch, tokens, width, generator=generator)

    assert bare.axes is not None
    axes = (*bare.axes, {0: BATCH})
    return ServedModel("unet_prompted", (*bare.inputs, "TEXT_STATES"), "NOISE", bare.tolerance, make, axes)


VAE_ENCODER = ServedModel(
    "vae_encoder",
    ("COMPOSITE",),
    "COMPOSITE_LATENT",
    1e-4,
    lambda batch, generator: (composite(batch, generator),),
    (image_axes(),),
)
VAE_DECODER = ServedModel(
    "vae_decoder",
    ("LATENT",),
    "SMALL_RESULT",
    1e-4,
    lambda batch, generator: (latent(batch, generator),),
    (latent_axes(),),
)
# Grey levels: where the two round to different sides, they differ by one.
LATENT_PREVIEW = ServedModel(
    "latent_preview",
    ("LATENT",),
    "PREVIEW",
    1 / 250,
    lambda batch, generator: (latent(batch, generator),),
    (latent_axes(),),
)
HARMONY_VAE = ServedModel(
    "harmony_vae",
    ("LATENT", "COMPOSITE", "COMPOSITE_MASK"),
    "SMALL_RESULT",
    1e-4,
    lambda batch, generator: (latent(batch, generator), composite(batch, generator), mask(batch, generator)),
    (latent_axes(), image_axes(), image_axes()),
)
REFINEMENT = ServedModel(
    "refinement",
    ("RESULT", "COMPOSITE", "COMPOSITE_MASK"),
    "SMALL_RESULT",
    1e-4,
    lambda batch, generator: (
        composite(batch, generator).permute(0, 3, 1, 2) / 255,
        composite(batch, generator),
        mask(batch, generator),
    ),
    (image_axes(height=2), image_axes(), image_axes()),
)
