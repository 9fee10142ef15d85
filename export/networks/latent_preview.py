"""Latents as small pictures without decoding them: a linear map, fitted by least squares to the VAE that is exported.

The images are of random smooth colour: each element of a latent against the mean colour of the pixels it covers.
"""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from concord.repository.profiles import EXACT
from concord.squash import LATENT_STRIDE
from export.half_precision import Island
from export.network import Network, NotPublished, ServedTensor, Serving
from export.networks.latent_diffusion import LATENT, draw_latent, latent_axes

IMAGES, SIZE = 24, 128
GRIDS = (2, 4, 8, 16)  # coarseness of the random colours, in cells a side


def fit(encoder: nn.Module) -> tuple[Tensor, Tensor, float]:
    """Fit the map to an encoder of uint8 [B,S,S,3] to scaled latents FP32 [B,4,S/8,S/8].

    Returns:
        Weight [4, 3] and bias [3] to colours in 0..1, and the root mean square error on the images, in grey levels.
    """
    latents, colours = [], []
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for number in range(IMAGES):
            image = smooth_image(GRIDS[number % len(GRIDS)], generator)
            latent = encoder((image * 255).round().to(torch.uint8).permute(0, 2, 3, 1))
            latents.append(latent.permute(0, 2, 3, 1).reshape(-1, latent.shape[1]))
            small = F.adaptive_avg_pool2d(image, tuple(latent.shape[2:]))
            colours.append(small.permute(0, 2, 3, 1).reshape(-1, 3))
    seen, wanted = torch.cat(latents), torch.cat(colours)
    rows = torch.cat((seen, torch.ones(len(seen), 1)), 1)
    solution = torch.linalg.lstsq(rows.double(), wanted.double(), driver="gelsd").solution.float()
    error = float((rows @ solution - wanted).square().mean().sqrt()) * 255
    return solution[:-1], solution[-1], error


def smooth_image(cells: int, generator: torch.Generator) -> Tensor:
    """FP32 [1,3,S,S] in 0..1: random colours on a grid, smoothly between."""
    colours = torch.rand(1, 3, cells, cells, generator=generator)
    return F.interpolate(colours, size=(SIZE, SIZE), mode="bicubic").clamp(0, 1)


class ServedLatentPreview(nn.Module):
    """Scaled latents FP32 [B,4,h,w] to small RGB images uint8 [B,h,w,3], by a weight [4,3] and a bias [3] to 0..1."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight, persistent=False)
        self.register_buffer("bias", bias, persistent=False)

    def forward(self, latent: Tensor) -> Tensor:
        colours = latent.permute(0, 2, 3, 1) @ cast(Tensor, self.weight) + cast(Tensor, self.bias)
        return (colours.clamp(0, 1) * 255).round().to(torch.uint8)


PREVIEW = Island("one small product, rounded to grey levels", nodes=("*",))

NETWORK = Network(
    name="latent_preview",
    inputs=(LATENT,),
    outputs=(ServedTensor("PREVIEW", "UINT8", (-1, -1, 3), stride=LATENT_STRIDE),),
    draw=lambda batch, generator: (draw_latent(batch, generator),),
    axes=(latent_axes(),),
    tolerance=1 / 250,  # grey levels: where the two round to different sides, they differ by one
    golden=NotPublished("it is fitted here; no one else has it"),
    islands=(PREVIEW,),
    serving=Serving(
        batch=4, gpu_batch=4, delay_microseconds=0, session={"session.intra_op.allow_spinning": "0"}, profiles=EXACT
    ),
)
