"""Latent diffusion's text2img-large: text encoder, UNet, VAE and word pieces, from its one file and a vocabulary."""

from argparse import ArgumentParser, Namespace
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from concord import word_pieces
from concord_client.atomic_file import write_atomically
from export import candidates, checkpoint, compvis, stable_diffusion
from export.arguments import add_repository
from export.candidates import Candidate
from export.checkpoint import CheckpointError
from export.networks import (
    elsewhere,
    ldm_text2img_decoder,
    ldm_text2img_encoder,
    ldm_text2img_preview,
    ldm_text2img_text_encoder,
    ldm_text2img_unet,
)
from export.networks.kl_autoencoder import SCALE, KlAutoencoder
from export.networks.ldm_text2img import SOURCE, TOKENIZER, LdmText2ImgNet
from export.networks.ldm_text2img_text_encoder import ServedTextTransformer
from export.networks.map_attention import with_ordinary_attention
from export.networks.text_unet import ServedTextUnet
from export.networks.vae_decoder import ServedVaeDecoder
from export.networks.vae_encoder import ServedVaeEncoder
from export.onnx_file import answers
from export.runtime_form import Form, rewrite

VAE = (ldm_text2img_encoder.NETWORK, ldm_text2img_decoder.NETWORK, ldm_text2img_preview.NETWORK)


def claims(keys: Collection[str]) -> bool:
    """Whether a checkpoint with these keys is one of this model."""
    return SOURCE.claims(keys)


def add_arguments(parser: ArgumentParser) -> None:
    add_repository(parser)
    candidates.add_unet_form(parser)
    parser.add_argument("--checkpoint", type=Path, required=True, metavar="FILE", help="model.ckpt of text2img-large")
    parser.add_argument(
        "--vocabulary",
        type=Path,
        required=True,
        metavar="FILE",
        help="vocab.txt of bert-base-uncased",
    )


def run(arguments: Namespace) -> None:
    """Read, export the networks, check, replace; then the vocabulary.

    Raises:
        CheckpointError: the file is of another model, which is named, or does not fit; or the vocabulary is another's.
        CheckFailed: an export is not exact. As with any other error, nothing was replaced.
    """
    path = arguments.checkpoint
    found = checkpoint.read(path)
    if not claims(found.weights):
        raise CheckpointError(f"{path}: not a checkpoint of ldm{family(found.weights)}")
    sizes: Any = SOURCE.sizes(found)
    pieces = read_vocabulary(arguments.vocabulary, sizes.pieces)
    loaded = checkpoint.named(path, lambda: SOURCE.load(found))
    assert isinstance(loaded.network, LdmText2ImgNet)
    form = Form(arguments.attention, arguments.convolution)
    candidates.publish(parts(loaded.network, form), arguments.model_repository, loaded.record)
    vocabulary = arguments.model_repository / TOKENIZER / "1" / word_pieces.FILE
    vocabulary.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(vocabulary, word_pieces.dump(pieces))


def family(weights: Mapping[str, Tensor]) -> str:
    """What a checkpoint is of that is not this model's, to end a sentence."""
    first = weights.get(compvis.FIRST)
    if first is not None and compvis.TEXT in weights:
        return f", but of {stable_diffusion.FAMILIES.get(first.shape[1], 'another Stable Diffusion')}"
    return elsewhere(weights.keys())


def read_vocabulary(path: Path, rows: int) -> list[str]:
    """The word pieces of a vocabulary; CheckpointError where it is not that of an encoder with so many."""
    try:
        pieces = word_pieces.read(path)
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path}: not readable as a vocabulary ({checkpoint.first_line(error)})") from error
    if missing := [piece for piece in word_pieces.SPECIAL if piece not in pieces]:
        raise CheckpointError(f"{path}: no vocabulary of BERT: {', '.join(missing)} missing")
    if len(pieces) != rows:
        raise CheckpointError(f"{path}: has {len(pieces)} word pieces, and the text encoder {rows}")
    return pieces


def parts(network: LdmText2ImgNet, form: Form) -> Iterator[Candidate]:
    """The networks that are served, rewritten for the runtime once the originals have answered."""

    def rewriting(part: nn.Module) -> None:
        with_ordinary_attention(part)
        rewrite(part, form)

    halves = served_autoencoder(network.first_stage_model)
    yield from candidates.autoencoder(*halves, {}, rewriting, VAE)
    text = ServedTextTransformer(network.text)
    expected = answers(text, ldm_text2img_text_encoder.NETWORK.samples())
    rewrite(text, form)
    yield Candidate(ldm_text2img_text_encoder.NETWORK, text, expected, {})
    config = network.unet.config
    unet = ServedTextUnet(network.unet, config.context)
    expected = answers(unet, ldm_text2img_unet.NETWORK.samples())
    rewrite(unet, form, config.coarsest())
    yield Candidate(ldm_text2img_unet.NETWORK, unet, expected, {})


def served_autoencoder(found: KlAutoencoder) -> tuple[ServedVaeEncoder, ServedVaeDecoder]:
    """As they are served."""
    return (
        ServedVaeEncoder(found.encoder, found.quant_conv, SCALE),
        ServedVaeDecoder(found.decoder, found.post_quant_conv, SCALE),
    )
