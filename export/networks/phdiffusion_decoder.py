"""Stable Diffusion's VAE decoder for PHDiffusion."""

from dataclasses import replace
from functools import partial

from export.networks import phdiffusion_encoder, vae_decoder

NETWORK = replace(
    vae_decoder.NETWORK,
    name="phdiffusion_decoder",
    seen=partial(vae_decoder.seen, encoder=phdiffusion_encoder.NETWORK.name),
    windowed=False,
)
