"""What the networks of DiffHarmony have in common: latents, dynamic sides, and inputs to check an export with.

Latents are [B, 4, h, w] and images eight times as high and wide. Exports are checked at several sizes, square and not.
"""

import torch
from torch import Generator, Tensor

from concord.squash import LATENT_STRIDE
from export.network import BATCH, SESSION, ServedTensor, Serving, noise_image
from export.winograd import TILE

LATENT_CHANNELS = 4
SEEN_SIDE = 256  # pixels: ranges of activations hardly depend on it, the time does
HEIGHT, WIDTH = torch.export.Dim("height", min=1, max=512), torch.export.Dim("width", min=1, max=512)
UNITS = {1: (4, 4), 2: (2, 3), 3: (1, 2)}  # batch to latent height and width, in eights

LATENT = ServedTensor("LATENT", "FP32", (LATENT_CHANNELS, -1, -1), stride=LATENT_STRIDE)
COMPOSITE = ServedTensor("COMPOSITE", "UINT8", (-1, -1, 3))
COMPOSITE_MASK = ServedTensor("COMPOSITE_MASK", "UINT8", (-1, -1))
SMALL_RESULT = ServedTensor("SMALL_RESULT", "FP32", (3, -1, -1))

PATIENCE = 1800  # seconds: a run of a network at its published size takes minutes on a CPU
SHRINKING = {"memory.enable_memory_arena_shrinkage": "cpu:0"}
ONE_IMAGE = Serving(batch=1, gpu_batch=1, delay_microseconds=0, patience_seconds=PATIENCE, session=SESSION | SHRINKING)
"""Of a network with gigabytes of activations at the larger resolutions."""


def latent_axes(unit: int = TILE) -> dict[int, object]:
    """Dynamic axes of a latent whose height and width are multiples of `unit`."""
    return {0: BATCH, 2: unit * HEIGHT, 3: unit * WIDTH}


def image_axes(height: int = 1) -> dict[int, object]:
    """Dynamic axes of a mask or an image [B, H, W, ...], or with its height at another place."""
    return {0: BATCH, height: TILE * LATENT_STRIDE * HEIGHT, height + 1: TILE * LATENT_STRIDE * WIDTH}


def draw_latent(batch: int, generator: Generator, unit: int = LATENT_STRIDE) -> Tensor:
    """FP32 [batch, 4, h, w], about a standard normal; h and w multiples of `unit`, and of 8 where that divides it."""
    height, width = (max(unit, LATENT_STRIDE) * units for units in UNITS[batch])
    return torch.randn(batch, LATENT_CHANNELS, height, width, generator=generator)


def draw_composite(batch: int, generator: Generator) -> Tensor:
    """uint8 [batch, 8h, 8w, 3]."""
    height, width = (LATENT_STRIDE * LATENT_STRIDE * units for units in UNITS[batch])
    square = noise_image(batch, max(height, width), generator)
    return square[:, :height, :width].contiguous()


def draw_mask(batch: int, generator: Generator) -> Tensor:
    """uint8 [batch, 8h, 8w] of 0/1: a disc in the first, everything in the last of a batch."""
    height, width = (LATENT_STRIDE * LATENT_STRIDE * units for units in UNITS[batch])
    rows, columns = torch.arange(height)[:, None] - height / 2, torch.arange(width) - width / 2
    disc = (rows**2 + columns**2).sqrt() < height / 4
    full = torch.ones_like(disc)
    return torch.stack([full if n and n == batch - 1 else disc for n in range(batch)]).to(torch.uint8)


def signed(image: Tensor) -> Tensor:
    """uint8 [B,H,W,3] to FP32 [B,3,H,W] in -1..1."""
    return image.to(torch.float32).permute(0, 3, 1, 2) / 127.5 - 1
