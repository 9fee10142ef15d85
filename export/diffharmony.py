"""DiffHarmony's networks into the model repository: encoder, UNet, decoder and latent preview, all of them or none."""

import gc
import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn

from export import default_resolution, latent_preview, prompted_config, served_diffusion
from export.checkpoint import CheckpointError
from export.onnx_file import answers, verify, write
from export.pipeline import Pipeline
from export.publication import Staged, record_of
from export.runtime_form import Form, fold_text, rewrite
from export.served_diffusion import LATENT_PREVIEW, VAE_DECODER, VAE_ENCODER
from export.served_model import ServedModel
from export.serving import ServedLatentPreview, ServedNullUnet, ServedUnet, ServedVaeDecoder, ServedVaeEncoder

Variant = Literal["null_text", "prompted"]
COMPANIONS = ("harmony_vae", "refinement")  # trained beside one pipeline, of no use beside another


@dataclass(frozen=True)
class Candidate:
    """A network that is ready to be written: what its file must answer, and what its record says."""

    model: ServedModel
    network: nn.Module
    expected: list[np.ndarray]
    record: dict[str, Any]


def publish(
    pipeline: Pipeline,
    repository: Path,
    variants: Sequence[Variant],
    form: Form,
) -> None:
    """Export every model of a pipeline, check each, and only then replace those that are served; prints what it does.

    The pipeline is used up: its weights are let go as soon as they are written.

    Raises:
        CheckpointError: text states are missing, or of another width than the UNet's.
        CheckFailed: an export is not exact. As with any other error, nothing was replaced.
    """
    states = required_states(pipeline, variants)
    origin = {"pipeline": identity(pipeline), "checkpoints": pipeline.checkpoints}
    if "prompted" in variants:  # first, as Triton stops at a folder that has a network but no configuration
        prompted_config.write(repository, context(states), pipeline.unet.config.cross_attention_dim)
    with ExitStack() as stack:
        stages = []
        networks = chain(vae_candidates(pipeline.vae, form), unet_candidates(pipeline.unet, states, variants, form))
        for candidate in networks:
            model = candidate.model
            staged = stack.enter_context(Staged(repository, model.name))
            stages.append(staged)
            write(staged, candidate.network, model)
            if not shares_weights(candidate, variants):
                candidate.network.to("meta")
                gc.collect()
            for difference in verify(staged, model, candidate.expected, origin | candidate.record):
                print(f"{model.name}: {difference}", flush=True)
        for staged in stages:
            staged.switch()
    print(f"now served: {', '.join(staged.name for staged in stages)}")
    resolution = default_resolution.write(repository.absolute().parent / "ensembles", pipeline.unet.config.sample_size)
    if resolution:
        print(f"the pipelines beside the repository work at {resolution} pixels where a request does not say")
    report_strangers(repository, identity(pipeline))


def report_strangers(repository: Path, pipeline: str) -> None:
    """Print a warning for every companion in the repository that was exported beside another pipeline."""
    for name in COMPANIONS:
        record = record_of(repository, name)
        if record and record.get("pipeline") != pipeline:
            print(f"warning: {name} was exported beside another pipeline; export the one that belongs to this")


def shares_weights(candidate: Candidate, variants: Sequence[Variant]) -> bool:
    """Whether another candidate, still to come, is of the same weights."""
    return candidate.model.name == "unet_prompted" and "null_text" in variants


def vae_candidates(vae: AutoencoderKL, form: Form) -> Iterator[Candidate]:
    """Encoder and decoder, rewritten for the runtime once the originals have answered; the preview fitted to them."""
    factor = vae.config.scaling_factor
    encoder = ServedVaeEncoder(vae.encoder, vae.quant_conv, factor)
    decoder = ServedVaeDecoder(vae.decoder, vae.post_quant_conv, factor)
    weight, bias, error = latent_preview.fit(encoder)
    for model, network in ((VAE_ENCODER, encoder), (VAE_DECODER, decoder)):
        expected = answers(network, model.samples())
        rewrite(network, form)
        yield Candidate(model, network, expected, {"network": "AutoencoderKL", "config": published(vae.config)})
    preview = ServedLatentPreview(weight, bias)
    expected = answers(preview, LATENT_PREVIEW.samples())
    yield Candidate(LATENT_PREVIEW, preview, expected, {"network": "linear map", "error_grey_levels": round(error, 2)})


def unet_candidates(
    unet: UNet2DConditionModel, states: Tensor | None, variants: Sequence[Variant], form: Form
) -> Iterator[Candidate]:
    """The UNet in each variant; all originals answer before the first is rewritten."""
    levels = len(unet.config.block_out_channels)
    served: list[tuple[ServedModel, nn.Module]] = []
    if "prompted" in variants:
        model = served_diffusion.prompted_unet(levels, context(states), unet.config.cross_attention_dim)
        served.append((model, ServedUnet(unet)))
    if states is not None and "null_text" in variants:
        served.append((served_diffusion.unet(levels), ServedNullUnet(unet, states)))
    wanted = [answers(network, model.samples()) for model, network in served]
    # The coarsest maps are the smallest part of the work and have most of the weights, which a transform multiplies.
    coarsest = frozenset((f"network.down_blocks.{levels - 1}", "network.mid_block", "network.up_blocks.0.resnets"))
    for (model, network), expected in zip(served, wanted, strict=True):
        if states is not None and isinstance(network, ServedNullUnet):
            fold_text(network, states)
        rewrite(network, form, coarsest)
        yield Candidate(model, network, expected, {"network": "UNet2DConditionModel", "config": published(unet.config)})


def required_states(pipeline: Pipeline, variants: Sequence[Variant]) -> Tensor | None:
    """The states of the empty prompt, checked against the UNet.

    Raises:
        CheckpointError: they are needed and missing, or of another width than the UNet's.
    """
    states, width = pipeline.states, pipeline.unet.config.cross_attention_dim
    if states is None:
        if "null_text" in variants:
            raise CheckpointError(
                "the states of the empty prompt are missing: the pipeline has neither text_encoder/ nor "
                "null_text.safetensors; give --text-states FILE, or --prompted for a UNet that takes states as input"
            )
    elif states.shape[1] != width:
        raise CheckpointError(f"the text states are {states.shape[1]} wide, the UNet's text {width}")
    return states


def context(states: Tensor | None) -> int:
    """How many tokens a prompt has: as many as the empty one, or CLIP's 77."""
    return 77 if states is None else len(states)


def identity(pipeline: Pipeline) -> str:
    """A digest of the files a pipeline was read from."""
    return hashlib.sha256(json.dumps(sorted(pipeline.checkpoints.values())).encode()).hexdigest()


def published(config: Any) -> dict[str, Any]:
    """A diffusers config without the entries that diffusers itself put there."""
    return {key: value for key, value in dict(config).items() if not key.startswith("_")}
