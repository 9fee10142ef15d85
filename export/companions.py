"""The networks that DiffHarmony may run beside its pipeline: Harmony-VAE and the second stage, refinement."""

from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor, nn

from export.checkpoint import CheckpointError
from export.networks.condition_vae import ConditionVae, ConditionVaeConfig
from export.networks.refinement import Refinement, RefinementConfig
from export.onnx_file import publish
from export.pipeline import read_part
from export.publication import record_of
from export.runtime_form import Form, rewrite
from export.served_diffusion import HARMONY_VAE, VAE_ENCODER
from export.served_model import ServedModel
from export.serving import ServedHarmonyVae, ServedRefinement
from export.stable_diffusion import assemble

Config = TypeVar("Config", ConditionVaeConfig, RefinementConfig)
CHANNELS = (3, 4, 7)  # what a refinement network may see: the result, and the mask, and the composite


def convert(model: ServedModel, path: Path, repository: Path, form: Form) -> None:
    """Read, load, export, check, replace; one line a checked batch.

    Args:
        model: `HARMONY_VAE` or `REFINEMENT`.
        path: the folder that diffusers saved, or a file, with the sizes of `config.json` beside it or the published.

    Raises:
        CheckpointError: the checkpoint cannot be used.
        CheckFailed: the export is not exact.
    """
    checkpoints: dict[str, str] = {}
    network: nn.Module
    if model is HARMONY_VAE:
        core, config = read_part(path, harmony_vae, checkpoints)
        network = ServedHarmonyVae(core, config.scaling_factor)
    else:
        core, config = read_part(path, refinement, checkpoints)
        network = ServedRefinement(core, config.in_channels)
    # It belongs to the pipeline it is exported beside; another pipeline, put in later, is told of it.
    pipeline = record_of(repository, VAE_ENCODER.name).get("pipeline")
    source = {
        "network": type(core).__name__,
        "config": asdict(config),
        "checkpoints": checkpoints,
        "pipeline": pipeline,
    }
    for difference in publish(network, model, repository, source, partial(rewrite, form=form)):
        print(f"{model.name}: {difference}", flush=True)
    print(f"now served: {model.name}")


def harmony_vae(config: dict[str, Any] | None, weights: dict[str, Tensor]) -> tuple[ConditionVae, ConditionVaeConfig]:
    """A Harmony-VAE with these weights, and its sizes.

    Raises:
        CheckpointError: the sizes are not usable, or the weights do not fit them.
    """
    sizes = with_sizes(ConditionVaeConfig(), config or {})
    return assemble(lambda: ConditionVae(sizes), weights), sizes


def refinement(config: dict[str, Any] | None, weights: dict[str, Tensor]) -> tuple[Refinement, RefinementConfig]:
    """A refinement network with these weights, and its sizes; without a config, the published ones it fits best.

    Raises:
        CheckpointError: as for `harmony_vae`, or it sees another number of channels than any published one.
    """
    first = weights.get("conv_in.weight")
    if config is None and first is not None and first.ndim == 4:
        base = RefinementConfig().block_out_channels
        config = {
            "in_channels": first.shape[1],
            "block_out_channels": [width * first.shape[0] // base[0] for width in base],
        }
    sizes = with_sizes(RefinementConfig(), config or {})
    if sizes.in_channels not in CHANNELS:
        raise CheckpointError(f"its config has {sizes.in_channels} in_channels; a refinement network has 3, 4 or 7")
    return assemble(lambda: Refinement(sizes), weights), sizes


def with_sizes(published: Config, config: dict[str, Any]) -> Config:
    """`published`, with what a `config.json` of diffusers says of the same names put in."""
    named = {field.name: config[field.name] for field in fields(published) if field.name in config}
    return replace(
        published, **{key: tuple(value) if isinstance(value, list) else value for key, value in named.items()}
    )
