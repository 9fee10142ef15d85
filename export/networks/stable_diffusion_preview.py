"""The latents of text-to-image Stable Diffusion as small pictures without decoding them."""

from dataclasses import replace

from export.networks import latent_preview

NETWORK = replace(latent_preview.NETWORK, name="stable_diffusion_preview")
