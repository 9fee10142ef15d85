"""The encoder of latent diffusion's text-to-image model (KL-f8): a picture to the mean of its posterior, scaled."""

from dataclasses import replace

from export.networks import vae_encoder
from export.networks.ldm_text2img import GOLDEN_HALVES, PUBLISHED_HALVES

NETWORK = replace(vae_encoder.NETWORK, name="ldm_text2img_encoder", published=PUBLISHED_HALVES, golden=GOLDEN_HALVES)
