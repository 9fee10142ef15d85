"""The encoder of latent diffusion's text-to-image model (KL-f8): a picture to the mean of its posterior, scaled."""

from dataclasses import replace

from export.networks import vae_encoder
from export.networks.kl_autoencoder import KlAutoencoder, KlConfig

NETWORK = replace(
    vae_encoder.NETWORK,
    name="ldm_text2img_encoder",
    published={"ldm_kl_small": lambda: KlAutoencoder(KlConfig(width=32))},
    golden=("ldm_kl_small",),
)
