"""The latents of latent diffusion's text-to-image model as small pictures without decoding them."""

from dataclasses import replace

from export.networks import latent_preview

NETWORK = replace(latent_preview.NETWORK, name="ldm_text2img_preview")
