"""Blended Diffusion: the step that CLIP guides and both towers of CLIP, from guided diffusion's file and CLIP's."""

from argparse import ArgumentParser, Namespace
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

from export import candidates, checkpoint
from export.arguments import add_repository
from export.candidates import Candidate
from export.checkpoint import Checkpoint, CheckpointError, named
from export.networks import blended_guidance, elsewhere, guided_unet
from export.networks.blended_guidance import CLIP, SOURCE, UNET
from export.onnx_file import answers
from export.pipelines import clip

VISUAL = "visual."


def claims(keys: Collection[str]) -> bool:
    """Whether a checkpoint with these keys is guided diffusion's."""
    return guided_unet.claims(keys)


def add_arguments(parser: ArgumentParser) -> None:
    add_repository(parser)
    parser.add_argument(
        "--checkpoint", type=Path, required=True, metavar="FILE", help="256x256_diffusion_uncond.pt of guided diffusion"
    )
    parser.add_argument("--clip", type=Path, required=True, metavar="FILE", help="ViT-B-16.pt of OpenAI's CLIP")


def run(arguments: Namespace) -> None:
    """Read both, export the three networks, check, replace.

    Raises:
        CheckpointError: names the file that is not what it should be, or does not fit.
        CheckFailed: an export is not exact.
    """
    diffusion, seeing = checkpoint.read(arguments.checkpoint), clip.read(arguments.clip)
    if not claims(diffusion.weights):
        raise CheckpointError(
            f"{diffusion.path}: not a checkpoint of guided diffusion without classes{elsewhere(diffusion.weights)}"
        )

    loaded = named(diffusion.path, lambda: SOURCE.load(joined(diffusion, seeing)))
    record = loaded.record | {"clip": seeing.path.name, "clip_sha256": seeing.sha256}
    model = blended_guidance.NETWORK

    def networks() -> Iterator[Candidate]:
        yield from clip.towers(seeing)
        yield Candidate(model, loaded.network, answers(loaded.network, model.samples()), record)

    candidates.publish(networks(), arguments.model_repository, {})


def joined(diffusion: Checkpoint, seeing: Checkpoint) -> Checkpoint:
    """The weights of both that the network has, under its names."""
    weights = {f"{UNET}{key}": value for key, value in diffusion.weights.items()}
    for key, value in seeing.weights.items():
        if key.startswith(VISUAL):
            weights[CLIP + key.removeprefix(VISUAL)] = value
    return replace(diffusion, weights=weights)
