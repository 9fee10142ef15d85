"""DiffHarmony: encoder, UNet, decoder and latent preview, all of them or none, from diffusers' folder or a file."""

import hashlib
import json
from argparse import ArgumentParser, Namespace
from collections.abc import Collection
from itertools import chain
from pathlib import Path

from diffusers import UNet2DConditionModel
from torch import Tensor

from concord.squash import LATENT_STRIDE
from export import candidates, default_setting, pipeline, single_file
from export.arguments import add_repository
from export.candidates import Candidate
from export.networks import every, unet, vae_encoder
from export.networks.unet import ServedUnet
from export.onnx_file import answers
from export.pipeline import Pipeline, required_states
from export.publication import record_of
from export.runtime_form import Form, fold_text, rewrite


def claims(keys: Collection[str]) -> bool:
    """Whether a checkpoint with these keys is a part of such a pipeline, or all of one in a file."""
    parts = ("time_embedding.linear_1.weight", "decoder.conv_in.weight", single_file.UNET_KEY)
    return any(key in keys for key in parts)


def add_arguments(parser: ArgumentParser) -> None:
    add_repository(parser)
    candidates.add_unet_form(parser)
    parser.add_argument("--pipeline", type=Path, metavar="DIR", help="folder that diffusers saved: unet/, vae/, ...")
    parser.add_argument("--unet", type=Path, metavar="PATH", help="folder or file, instead of the pipeline's")
    parser.add_argument("--vae", type=Path, metavar="PATH", help="folder or file, instead of the pipeline's")
    parser.add_argument(
        "--single-file", type=Path, metavar="FILE", help="a whole checkpoint; sizes from --pipeline's configs if given"
    )
    parser.add_argument(
        "--text-states", type=Path, metavar="FILE", help="safetensors with the empty prompt's `states` [n, d]"
    )


def run(arguments: Namespace) -> None:
    """Read a pipeline from wherever the arguments say, and publish its models."""
    if arguments.single_file:
        found = single_file.read(arguments.single_file, arguments.pipeline)
    else:
        found = pipeline.read(arguments.pipeline, arguments.unet, arguments.vae, arguments.text_states)
    publish(found, arguments.model_repository, Form(arguments.attention, arguments.convolution))


def publish(pipeline: Pipeline, repository: Path, form: Form) -> None:
    """Export every model of a pipeline, check each, and only then replace those that are served; prints what it does.

    The pipeline is used up.

    Raises:
        CheckpointError: text states are missing, or of another width than the UNet's.
        CheckFailed: an export is not exact. As with any other error, nothing was replaced.
    """
    states = required_states(pipeline.states, pipeline.unet.config.cross_attention_dim)
    origin = {"pipeline": identity(pipeline), "checkpoints": pipeline.checkpoints}
    resolution = pixels(pipeline.unet.config.sample_size)
    denoiser = (unet_candidate(found, states, form) for found in (pipeline.unet,))
    candidates.publish(chain(candidates.vae(pipeline.vae, form), denoiser), repository, origin)
    if default_setting.write_resolution(repository, "unet", unet.NETWORK.name, resolution):
        print(f"the pipelines that run it work at {resolution} pixels where a request does not say")
    report_strangers(repository, identity(pipeline))


def pixels(latent_side: int | None) -> str:
    """The side of the picture whose latent has that side; 0 where it is not known."""
    return str(LATENT_STRIDE * (latent_side or 0))


def report_strangers(repository: Path, pipeline: str) -> None:
    """Print a warning for every companion in the repository that was exported beside another pipeline."""
    for network in every():
        record = record_of(repository, network.name) if network.companion_of == vae_encoder.NETWORK.name else {}
        if record and record.get("pipeline") != pipeline:
            print(f"warning: {network.name} was exported beside another pipeline; export the one that belongs to this")


def unet_candidate(found: UNet2DConditionModel, states: Tensor, form: Form) -> Candidate:
    """The UNet with the empty prompt folded in, rewritten for the runtime once the original has answered."""
    levels = len(found.config.block_out_channels)
    model, network = unet.with_levels(levels), ServedUnet(found, states)
    expected = answers(network, model.samples())
    fold_text(network, states)
    rewrite(network, form, unet.coarsest(levels))
    record = {"network": "UNet2DConditionModel", "config": candidates.published(found.config)}
    return Candidate(model, network, expected, record)


def identity(pipeline: Pipeline) -> str:
    """A digest of the files a pipeline was read from."""
    return hashlib.sha256(json.dumps(sorted(pipeline.checkpoints.values())).encode()).hexdigest()
