"""The decoder of latent diffusion's text-to-image model (KL-f8): a latent to a picture."""

from dataclasses import replace
from functools import partial

from export.networks import ldm_text2img_encoder, vae_decoder
from export.networks.ldm_text2img import GOLDEN_HALVES, PUBLISHED_HALVES

NETWORK = replace(
    vae_decoder.NETWORK,
    name="ldm_text2img_decoder",
    seen=partial(vae_decoder.seen, encoder=ldm_text2img_encoder.NETWORK.name),
    published=PUBLISHED_HALVES,
    golden=GOLDEN_HALVES,
    windowed=False,
)
