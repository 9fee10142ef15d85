"""The VAE decoder of text-to-image Stable Diffusion."""

from dataclasses import replace
from functools import partial

from export.networks import stable_diffusion_encoder, vae_decoder

NETWORK = replace(
    vae_decoder.NETWORK,
    name="stable_diffusion_decoder",
    seen=partial(vae_decoder.seen, encoder=stable_diffusion_encoder.NETWORK.name),
    windowed=False,
)
