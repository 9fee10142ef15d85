"""The VAE encoder of text-to-image Stable Diffusion: pipelines with other VAEs are served beside it."""

from dataclasses import replace

from export.networks import vae_encoder

NETWORK = replace(vae_encoder.NETWORK, name="stable_diffusion_encoder", published={})
