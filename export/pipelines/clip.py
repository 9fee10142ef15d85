"""OpenAI's CLIP: both towers, which rank pictures by a text, from the published file."""

from argparse import ArgumentParser, Namespace
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import cast

from torch import nn

from export import candidates, checkpoint
from export.arguments import add_repository
from export.candidates import Candidate
from export.checkpoint import Checkpoint, CheckpointError, named
from export.networks import clip_image_encoder, clip_text_encoder, elsewhere
from export.networks.clip import Clip, VisionTransformer
from export.networks.clip_image_encoder import ServedClipImageEncoder
from export.networks.clip_text_encoder import ServedClipTextEncoder
from export.networks.openai_clip import SOURCE
from export.onnx_file import answers


def claims(keys: Collection[str]) -> bool:
    """Whether a checkpoint with these keys is a CLIP that is served."""
    return SOURCE.claims(keys)


def add_arguments(parser: ArgumentParser) -> None:
    add_repository(parser)
    parser.add_argument("--checkpoint", type=Path, required=True, metavar="FILE", help="ViT-B-16.pt, or ViT-B-32.pt")


def run(arguments: Namespace) -> None:
    """Read, export both towers, check, replace.

    Raises:
        CheckpointError: the file is not one of a CLIP that is served, or does not fit.
        CheckFailed: an export is not exact.
    """
    candidates.publish(towers(read(arguments.checkpoint)), arguments.model_repository, {})


def read(path: Path) -> Checkpoint:
    """The checkpoint of a file; CheckpointError where it is none of CLIP."""
    found = checkpoint.read(path)
    if not claims(found.weights):
        raise CheckpointError(f"{path}: not a checkpoint of CLIP with a vision transformer{elsewhere(found.weights)}")
    return found


def towers(found: Checkpoint) -> Iterator[Candidate]:
    """The networks that are served of it; CheckpointError where it does not fit."""
    loaded = named(found.path, lambda: SOURCE.load(found))
    network = cast(Clip, loaded.network)
    visual, network.visual = cast(VisionTransformer, network.visual), nn.Identity()
    for model, part in (
        (clip_image_encoder.NETWORK, ServedClipImageEncoder(visual)),
        (clip_text_encoder.NETWORK, ServedClipTextEncoder(network)),
    ):
        yield Candidate(model, part, answers(part, model.samples()), loaded.record)
