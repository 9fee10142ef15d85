"""The UNet of latent diffusion's text-to-image model: the noise in a latent, for the states of a text."""

from functools import partial

from export.networks import ldm_text2img_text_encoder, text_unet
from export.networks.ldm_text2img import GOLDEN, PUBLISHED, STATES, texts

NAME = "ldm_text2img_unet"
NETWORK = text_unet.text_unet(
    NAME,
    STATES,
    partial(text_unet.seen, encoder=ldm_text2img_text_encoder.NETWORK.name, unet=NAME, texts=texts),
    PUBLISHED,
    GOLDEN,
)
