"""Latent diffusion's super-resolution model: UNet and decoder, both of them or none, from the authors' one file."""

from argparse import ArgumentParser, Namespace
from collections.abc import Collection

from export import ldm_export
from export.ldm_export import Served
from export.networks import ldm_sr_decoder, ldm_sr_unet
from export.networks.ldm_sr import SOURCE, LdmSrNet
from export.networks.ldm_unet import ServedLdmUnet
from export.networks.vq_autoencoder import ServedVqDecoder


def claims(keys: Collection[str]) -> bool:
    """Whether a checkpoint with these keys is one of this model."""
    return SOURCE.claims(keys)


def add_arguments(parser: ArgumentParser) -> None:
    ldm_export.add_arguments(parser, "model.ckpt of bsr_sr")


def run(arguments: Namespace) -> None:
    """See `ldm_export.publish`."""
    ldm_export.publish(arguments, "ldm_sr", SOURCE, served)


def served(network: LdmSrNet) -> Served:
    """The networks as they are served."""
    yield ldm_sr_unet.NETWORK, ServedLdmUnet(network.unet)
    yield ldm_sr_decoder.NETWORK, ServedVqDecoder(network.first_stage_model)
