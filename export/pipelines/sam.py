"""Segment Anything: an encoder that is asked once a picture and a decoder that is asked once a click, from one file."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Collection, Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from export import candidates, checkpoint
from export.arguments import add_repository
from export.candidates import Candidate
from export.checkpoint import CheckpointError
from export.network import Network
from export.networks import (
    elsewhere,
    mobile_sam,
    mobile_sam_decoder,
    mobile_sam_encoder,
    sam2,
    sam2_decoder,
    sam2_encoder,
)
from export.networks.mobile_sam import MobileSam, MobileSamConfig
from export.networks.mobile_sam_decoder import ServedMobileSamDecoder
from export.networks.mobile_sam_encoder import ServedMobileSamEncoder
from export.networks.sam2 import Sam2, Sam2Config
from export.networks.sam2_decoder import ServedSam2Decoder
from export.networks.sam2_encoder import ServedSam2Encoder
from export.onnx_file import answers
from export.state_dict import StateDict


@dataclass(frozen=True)
class Family:
    """Checkpoints of one layout: how they are read, and the halves that are served, each made from the network."""

    title: str
    source: StateDict[Any]
    halves: tuple[tuple[Network, Callable[[Any], nn.Module]], ...]


FAMILIES = (
    Family(
        "MobileSAM",
        StateDict(
            claims=mobile_sam.claims,
            published=lambda _weights: MobileSamConfig(),
            build=MobileSam,
            served=lambda network: network,
        ),
        (
            (mobile_sam_encoder.NETWORK, ServedMobileSamEncoder),
            (mobile_sam_decoder.NETWORK, ServedMobileSamDecoder),
        ),
    ),
    Family(
        "SAM 2",
        StateDict(
            claims=sam2.claims,
            published=lambda _weights: Sam2Config(),
            build=Sam2,
            served=lambda network: network,
            refused=sam2.refused,
            unused=sam2.of_video,
        ),
        ((sam2_encoder.NETWORK, ServedSam2Encoder), (sam2_decoder.NETWORK, ServedSam2Decoder)),
    ),
)


def claims(keys: Collection[str]) -> bool:
    """Whether a checkpoint with these keys is one of those."""
    return any(family.source.claims(keys) for family in FAMILIES)


def add_arguments(parser: ArgumentParser) -> None:
    add_repository(parser)
    files = "mobile_sam.pt or sam2.1_hiera_tiny.pt"
    parser.add_argument("--checkpoint", type=Path, required=True, metavar="FILE", help=files)


def run(arguments: Namespace) -> None:
    """Read, export both halves, check, replace.

    Raises:
        CheckpointError: the file is none of those that are published, or does not fit.
        CheckFailed: an export is not exact.
    """
    path = arguments.checkpoint
    found = checkpoint.read(path)
    family = next((each for each in FAMILIES if each.source.claims(found.weights)), None)
    if family is None:
        titles = " or ".join(each.title for each in FAMILIES)
        raise CheckpointError(f"{path}: not a checkpoint of {titles}{elsewhere(found.weights)}")
    loaded = checkpoint.named(path, lambda: family.source.load(found))
    if left_out := loaded.record.get("left_out"):
        parts = dict.fromkeys(".".join(key.split(".")[:2]) for key in left_out)
        print(f"left out, {len(left_out)} keys that a picture alone does not need: {', '.join(parts)}", flush=True)

    def halves() -> Iterator[Candidate]:
        for model, served in family.halves:
            half = served(deepcopy(loaded.network))  # which is used up, and both read some of the layers
            yield Candidate(model, half, answers(half, model.samples()), {})

    candidates.publish(halves(), arguments.model_repository, loaded.record)
