"""PHDiffusion's latents as small pictures without decoding them."""

from dataclasses import replace

from export.networks import latent_preview

NETWORK = replace(latent_preview.NETWORK, name="phdiffusion_preview")
