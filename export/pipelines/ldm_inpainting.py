"""Latent diffusion's inpainting model: encoder, UNet and decoder, all of them or none, from the authors' one file."""

from argparse import ArgumentParser, Namespace
from collections.abc import Collection, Iterator
from pathlib import Path

from export import candidates, checkpoint
from export.arguments import add_repository
from export.candidates import Candidate
from export.checkpoint import CheckpointError
from export.networks import elsewhere, ldm_inpainting_decoder, ldm_inpainting_encoder, ldm_inpainting_unet
from export.networks.ldm_inpainting import SOURCE, LdmInpaintingNet, ServedEncoder
from export.networks.ldm_unet import ServedLdmUnet, coarsest
from export.networks.map_attention import with_ordinary_attention
from export.networks.vq_autoencoder import ServedVqDecoder
from export.onnx_file import answers
from export.runtime_form import Form, rewrite


def claims(keys: Collection[str]) -> bool:
    """Whether a checkpoint with these keys is one of this model."""
    return SOURCE.claims(keys)


def add_arguments(parser: ArgumentParser) -> None:
    add_repository(parser)
    candidates.add_unet_form(parser)
    parser.add_argument("--checkpoint", type=Path, required=True, metavar="FILE", help="last.ckpt of inpainting_big")


def run(arguments: Namespace) -> None:
    """Read, export the three networks, check, replace.

    Raises:
        CheckpointError: the file is not one of this model, or does not fit.
        CheckFailed: an export is not exact.
    """
    path = arguments.checkpoint
    found = checkpoint.read(path)
    if not claims(found.weights):
        raise CheckpointError(f"{path}: not a checkpoint of ldm_inpainting{elsewhere(found.weights)}")
    loaded = checkpoint.named(path, lambda: SOURCE.load(found))
    assert isinstance(loaded.network, LdmInpaintingNet)
    form = Form(arguments.attention, arguments.convolution)
    candidates.publish(parts(loaded.network, form), arguments.model_repository, loaded.record)


def parts(network: LdmInpaintingNet, form: Form) -> Iterator[Candidate]:
    """The networks that are served, rewritten for the runtime once the originals have answered."""
    direct = coarsest(network.unet)
    for model, part in (
        (ldm_inpainting_encoder.NETWORK, ServedEncoder(network)),
        (ldm_inpainting_unet.NETWORK, ServedLdmUnet(network.unet)),
        (ldm_inpainting_decoder.NETWORK, ServedVqDecoder(network.first_stage_model)),
    ):
        expected = answers(part, model.samples())
        with_ordinary_attention(part)
        rewrite(part, form, direct)
        yield Candidate(model, part, expected, {})
