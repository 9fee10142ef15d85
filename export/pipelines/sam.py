"""Segment Anything: an encoder that is asked once a picture and a decoder that is asked once a click, from one file."""

from argparse import ArgumentParser, Namespace
from collections.abc import Collection, Iterator
from pathlib import Path

from export import candidates, checkpoint
from export.arguments import add_repository
from export.candidates import Candidate
from export.checkpoint import CheckpointError
from export.networks import mobile_sam, mobile_sam_decoder, mobile_sam_encoder, takers
from export.networks.mobile_sam import MobileSam, MobileSamConfig
from export.networks.mobile_sam_decoder import ServedMobileSamDecoder
from export.networks.mobile_sam_encoder import ServedMobileSamEncoder
from export.onnx_file import answers
from export.state_dict import StateDict

SOURCE = StateDict(
    claims=mobile_sam.claims,
    published=lambda _weights: MobileSamConfig(),
    build=MobileSam,
    served=lambda network: network,
)


def claims(keys: Collection[str]) -> bool:
    """Whether a checkpoint with these keys is one of those."""
    return SOURCE.claims(keys)


def add_arguments(parser: ArgumentParser) -> None:
    add_repository(parser)
    parser.add_argument("--checkpoint", type=Path, required=True, metavar="FILE", help="mobile_sam.pt")


def run(arguments: Namespace) -> None:
    """Read, export both halves, check, replace.

    Raises:
        CheckpointError: the file is none of those that are published, or does not fit.
        CheckFailed: an export is not exact.
    """
    path = arguments.checkpoint
    found = checkpoint.read(path)
    if not claims(found.weights):
        taker = next(takers(found.weights), None)
        other = f", but of {taker}: python -m export {taker} takes it" if taker else ""
        raise CheckpointError(f"{path}: not a checkpoint of MobileSAM{other}")
    loaded = checkpoint.named(path, lambda: SOURCE.load(found))
    network = loaded.network
    assert isinstance(network, MobileSam)

    def halves() -> Iterator[Candidate]:
        encoder, decoder = ServedMobileSamEncoder(network), ServedMobileSamDecoder(network)
        for model, half in ((mobile_sam_encoder.NETWORK, encoder), (mobile_sam_decoder.NETWORK, decoder)):
            yield Candidate(model, half, answers(half, model.samples()), {})

    candidates.publish(halves(), arguments.model_repository, loaded.record)
