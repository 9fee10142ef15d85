"""DiffHarmony: encoder, UNet, decoder and latent preview, all of them or none, from diffusers' folder or a file."""

import gc
import hashlib
import json
from argparse import ArgumentParser, Namespace
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn

from concord import processor
from concord.squash import LATENT_STRIDE
from export import default_setting, pipeline, single_file
from export.arguments import add_form, add_repository
from export.checkpoint import CheckpointError
from export.network import Network
from export.networks import every, latent_preview, unet, vae_decoder, vae_encoder
from export.networks.latent_preview import ServedLatentPreview
from export.networks.unet import ServedUnet
from export.networks.vae_decoder import ServedVaeDecoder
from export.networks.vae_encoder import ServedVaeEncoder
from export.onnx_file import Answers, answers, verify, write
from export.pipeline import Pipeline
from export.publication import Staged, record_of
from export.runtime_form import Form, fold_text, rewrite


def claims(keys: Collection[str]) -> bool:
    """Whether a checkpoint with these keys is a part of such a pipeline, or all of one in a file."""
    parts = ("time_embedding.linear_1.weight", "decoder.conv_in.weight", single_file.UNET_KEY)
    return any(key in keys for key in parts)


def add_arguments(parser: ArgumentParser) -> None:
    add_repository(parser)
    # ONNX Runtime's direct ones are slow on processors; GPUs have fast ones, and so has OpenVINO, in BF16.
    fast = processor.kinds()[0] in (processor.CUDA, *processor.BF16)
    add_form(parser, convolution="direct" if fast else "winograd")
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


@dataclass(frozen=True)
class Candidate:
    """A network that is ready to be written: what its file must answer, and what its record says."""

    model: Network
    network: nn.Module
    expected: list[Answers]
    record: dict[str, Any]


def publish(pipeline: Pipeline, repository: Path, form: Form) -> None:
    """Export every model of a pipeline, check each, and only then replace those that are served; prints what it does.

    The pipeline is used up: its weights are let go as soon as they are written.

    Raises:
        CheckpointError: text states are missing, or of another width than the UNet's.
        CheckFailed: an export is not exact. As with any other error, nothing was replaced.
    """
    states = required_states(pipeline)
    origin = {"pipeline": identity(pipeline), "checkpoints": pipeline.checkpoints}
    with ExitStack() as stack:
        stages = []
        for candidate in chain(vae_candidates(pipeline.vae, form), unet_candidates(pipeline.unet, states, form)):
            model = candidate.model
            staged = stack.enter_context(Staged(repository, model.name))
            stages.append(staged)
            write(staged, candidate.network, model)
            candidate.network.to("meta")
            gc.collect()
            for difference in verify(staged, model, candidate.expected, origin | candidate.record):
                print(f"{model.name}: {difference}", flush=True)
        for staged in stages:
            staged.switch()
    print(f"now served: {', '.join(staged.name for staged in stages)}")
    ensembles, resolution = repository.absolute().parent / "ensembles", pixels(pipeline.unet.config.sample_size)
    if default_setting.write(ensembles, "unet", unet.NETWORK.name, "RESOLUTION", resolution):
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


def vae_candidates(vae: AutoencoderKL, form: Form) -> Iterator[Candidate]:
    """Encoder and decoder, rewritten for the runtime once the originals have answered; the preview fitted to them."""
    factor = vae.config.scaling_factor
    encoder = ServedVaeEncoder(vae.encoder, vae.quant_conv, factor)
    decoder = ServedVaeDecoder(vae.decoder, vae.post_quant_conv, factor)
    weight, bias, error = latent_preview.fit(encoder)
    for model, network in ((vae_encoder.NETWORK, encoder), (vae_decoder.NETWORK, decoder)):
        expected = answers(network, model.samples())
        rewrite(network, form)
        yield Candidate(model, network, expected, {"network": "AutoencoderKL", "config": published(vae.config)})
    preview = ServedLatentPreview(weight, bias)
    expected = answers(preview, latent_preview.NETWORK.samples())
    record = {"network": "linear map", "error_grey_levels": round(error, 2)}
    yield Candidate(latent_preview.NETWORK, preview, expected, record)


def unet_candidates(found: UNet2DConditionModel, states: Tensor, form: Form) -> Iterator[Candidate]:
    """The UNet with the empty prompt folded in, rewritten for the runtime once the original has answered."""
    levels = len(found.config.block_out_channels)
    model, network = unet.with_levels(levels), ServedUnet(found, states)
    expected = answers(network, model.samples())
    fold_text(network, states)
    # The coarsest maps are the smallest part of the work and have most of the weights, which a transform multiplies.
    coarsest = frozenset((f"network.down_blocks.{levels - 1}", "network.mid_block", "network.up_blocks.0.resnets"))
    rewrite(network, form, coarsest)
    yield Candidate(model, network, expected, {"network": "UNet2DConditionModel", "config": published(found.config)})


def required_states(pipeline: Pipeline) -> Tensor:
    """The states of the empty prompt; CheckpointError if they are missing, or of another width than the UNet's."""
    states, width = pipeline.states, pipeline.unet.config.cross_attention_dim
    if states is None:
        raise CheckpointError(
            "the states of the empty prompt are missing: the pipeline has neither text_encoder/ nor "
            "null_text.safetensors; give --text-states FILE"
        )
    if states.shape[1] != width:
        raise CheckpointError(f"the text states are {states.shape[1]} wide, the UNet's text {width}")
    return states


def identity(pipeline: Pipeline) -> str:
    """A digest of the files a pipeline was read from."""
    return hashlib.sha256(json.dumps(sorted(pipeline.checkpoints.values())).encode()).hexdigest()


def published(config: Any) -> dict[str, Any]:
    """A diffusers config without the entries that diffusers itself put there."""
    return {key: value for key, value in dict(config).items() if not key.startswith("_")}
