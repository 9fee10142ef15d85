"""The UNet of text-to-image Stable Diffusion 1 and 2: the noise in a latent, for the states of a text."""

from functools import partial

from export.network import NotPublished
from export.networks import stable_diffusion_text_encoder, text_unet
from export.networks.stable_diffusion_text_encoder import STATES, texts

NAME = "stable_diffusion_unet"
NETWORK = text_unet.text_unet(
    NAME,
    STATES,
    partial(text_unet.seen, encoder=stable_diffusion_text_encoder.NETWORK.name, unet=NAME, texts=texts),
    {},
    NotPublished("diffusers' own UNet is exported, and the export is compared with it"),
)
