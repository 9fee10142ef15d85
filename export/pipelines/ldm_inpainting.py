"""Latent diffusion's inpainting model: encoder, UNet and decoder, all of them or none, from the authors' one file."""

from argparse import ArgumentParser, Namespace
from collections.abc import Collection

from export import ldm_export
from export.ldm_export import Served
from export.networks import ldm_inpainting_decoder, ldm_inpainting_encoder, ldm_inpainting_unet
from export.networks.ldm_inpainting import SOURCE, LdmInpaintingNet, ServedEncoder
from export.networks.ldm_unet import ServedLdmUnet
from export.networks.vq_autoencoder import ServedVqDecoder


def claims(keys: Collection[str]) -> bool:
    """Whether a checkpoint with these keys is one of this model."""
    return SOURCE.claims(keys)


def add_arguments(parser: ArgumentParser) -> None:
    ldm_export.add_arguments(parser, "last.ckpt of inpainting_big")


def run(arguments: Namespace) -> None:
    """See `ldm_export.publish`."""
    ldm_export.publish(arguments, "ldm_inpainting", SOURCE, served)


def served(network: LdmInpaintingNet) -> Served:
    """The networks as they are served."""
    yield ldm_inpainting_encoder.NETWORK, ServedEncoder(network)
    yield ldm_inpainting_unet.NETWORK, ServedLdmUnet(network.unet)
    yield ldm_inpainting_decoder.NETWORK, ServedVqDecoder(network.first_stage_model)
