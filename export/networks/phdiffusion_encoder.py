"""Stable Diffusion's VAE encoder for PHDiffusion: pipelines with other VAEs are served beside it."""

from dataclasses import replace

from export.networks import vae_encoder

NETWORK = replace(vae_encoder.NETWORK, name="phdiffusion_encoder", published={})
