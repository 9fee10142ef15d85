"""Exporting latent diffusion models without text, whose networks lie in the authors' one file."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from torch import nn

from export import candidates, checkpoint
from export.arguments import add_repository
from export.candidates import Candidate
from export.checkpoint import CheckpointError
from export.network import Network
from export.networks import elsewhere
from export.networks.ldm_unet import coarsest
from export.networks.map_attention import with_ordinary_attention
from export.onnx_file import answers
from export.runtime_form import Form, rewrite
from export.state_dict import StateDict

Served = Iterable[tuple[Network, nn.Module]]
"""The declarations of a model's networks, and they as they are served."""


def add_arguments(parser: ArgumentParser, file: str) -> None:
    """Those of a model whose published file has this name."""
    add_repository(parser)
    candidates.add_unet_form(parser)
    parser.add_argument("--checkpoint", type=Path, required=True, metavar="FILE", help=file)


def publish(arguments: Namespace, name: str, source: StateDict[Any], served: Callable[[Any], Served]) -> None:
    """Read, export a model's networks, check, replace: all of them or none.

    Args:
        name: the model's.
        served: of the whole network that `source` builds, which has a `unet`.

    Raises:
        CheckpointError: the file is not one of this model, or does not fit.
        CheckFailed: an export is not exact.
    """
    path = arguments.checkpoint
    found = checkpoint.read(path)
    if not source.claims(found.weights):
        raise CheckpointError(f"{path}: not a checkpoint of {name}{elsewhere(found.weights)}")
    loaded = checkpoint.named(path, lambda: source.load(found))
    form = Form(arguments.attention, arguments.convolution)
    candidates.publish(parts(loaded.network, served, form), arguments.model_repository, loaded.record)


def parts(network: Any, served: Callable[[Any], Served], form: Form) -> Iterator[Candidate]:
    """The networks that are served, rewritten for the runtime once the originals have answered."""
    direct = coarsest(network.unet)
    for model, part in served(network):
        expected = answers(part, model.samples())
        with_ordinary_attention(part)
        rewrite(part, form, direct)
        yield Candidate(model, part, expected, {})
