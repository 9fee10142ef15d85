"""The VAE decoder of latent diffusion's text-to-image model."""

from dataclasses import replace
from functools import partial

from export.networks import ldm_text2img_encoder, vae_decoder

NETWORK = replace(
    vae_decoder.NETWORK,
    name="ldm_text2img_decoder",
    seen=partial(vae_decoder.seen, encoder=ldm_text2img_encoder.NETWORK.name),
    windowed=False,
)
