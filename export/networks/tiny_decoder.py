"""TAESD's decoder: a latent to a picture, in a small part of the time of Stable Diffusion's own."""

from typing import cast

from torch import Tensor, nn

from export.half_precision import Island
from export.network import Network, Quantization
from export.networks import vae_decoder, vae_encoder
from export.networks.latent_diffusion import LATENT, ONE_IMAGE, SMALL_RESULT, draw_latent, latent_axes
from export.networks.tiny_vae import PUBLISHED, TinyDecoder, source


class ServedTinyDecoder(nn.Module):
    """Scaled latents FP32 [B,4,h,w] to images FP32 [B,3,8h,8w], nominally 0..1 and not clamped."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, latent: Tensor) -> Tensor:
        return cast(Tensor, self.network(latent))


CLAMP = Island("one small map, of which everything else is made", ("Tanh",), upstream=True)

NETWORK = Network(
    name="tiny_decoder",
    inputs=(LATENT,),
    outputs=(SMALL_RESULT,),
    draw=lambda batch, generator: (draw_latent(batch, generator),),
    axes=(latent_axes(),),
    source=source("decoder", TinyDecoder, ServedTinyDecoder),
    companion_of=vae_encoder.NETWORK.name,
    published=PUBLISHED,
    golden=tuple(PUBLISHED),
    islands=(CLAMP,),
    quantization=Quantization("its last layer draws the picture", ends=True, transformer=False),
    seen=vae_decoder.seen,
    serving=ONE_IMAGE,
)
