"""TAESD's encoder: a composite to its latent, in a small part of the time of Stable Diffusion's own."""

from typing import cast

import torch
from torch import Tensor, nn

from export.half_precision import Island
from export.network import Network
from export.networks import vae_encoder
from export.networks.latent_diffusion import COMPOSITE, ONE_IMAGE, draw_composite, image_axes
from export.networks.tiny_vae import PUBLISHED, TinyEncoder, source


class ServedTinyEncoder(nn.Module):
    """`composite` uint8 RGB [B,S,S,3] to its scaled latent FP32 [B,4,S/8,S/8]."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, composite: Tensor) -> Tensor:
        return cast(Tensor, self.network(composite.to(torch.float32).permute(0, 3, 1, 2) / 255))


PIXELS = Island("in half they are off by up to an eighth of a grey level", ("Div",), nodes=("node_conv2d",))

NETWORK = Network(
    name="tiny_encoder",
    inputs=(COMPOSITE,),
    outputs=vae_encoder.NETWORK.outputs,
    draw=lambda batch, generator: (draw_composite(batch, generator),),
    axes=(image_axes(),),
    source=source("encoder", TinyEncoder, ServedTinyEncoder),
    companion_of=vae_encoder.NETWORK.name,
    published=PUBLISHED,
    golden=tuple(PUBLISHED),
    islands=(PIXELS,),
    quantization=vae_encoder.NETWORK.quantization,
    seen=vae_encoder.seen,
    serving=ONE_IMAGE,
)
