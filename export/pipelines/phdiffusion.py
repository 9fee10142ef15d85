"""PHDiffusion: adapter, UNet with fusion and VAE, from its own checkpoint and that of Stable Diffusion 1.4."""

from argparse import ArgumentParser, Namespace
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from diffusers import AutoencoderKL
from torch import Tensor

from export import candidates, checkpoint, compvis, pipeline, single_file, stable_diffusion
from export.arguments import add_repository
from export.candidates import Candidate
from export.checkpoint import CheckpointError, named
from export.diffusers_folder import assemble
from export.networks import (
    elsewhere,
    phdiffusion_adapter,
    phdiffusion_decoder,
    phdiffusion_encoder,
    phdiffusion_preview,
)
from export.networks import phdiffusion_unet as unet
from export.networks.compvis_unet import CompVisUnetConfig
from export.networks.feature_fusion import FeatureFusion
from export.networks.phdiffusion_adapter import Adapter, AdapterConfig, ServedAdapter
from export.networks.phdiffusion_unet import PaintingUnet, ServedPaintingUnet
from export.onnx_file import answers
from export.runtime_form import Form, fold_text, rewrite

ADAPTER, FUSION = "ad.", "interact."  # the entries of its own checkpoint
FORMS = {"with": True, "without": False}
FILES = {"WithRes": True, "WithoutRes": False}  # in the names of the published files
VAE = (phdiffusion_encoder.NETWORK, phdiffusion_decoder.NETWORK, phdiffusion_preview.NETWORK)


@dataclass
class StableDiffusion:
    """What of it PHDiffusion runs on: the UNet's sizes and weights under CompVis's keys, and for the empty prompt the
    text's states FP32 [n, d]; `checkpoints` maps the files that were read to their SHA-256.
    """

    config: CompVisUnetConfig
    weights: dict[str, Tensor]
    vae: AutoencoderKL
    states: Tensor | None
    checkpoints: dict[str, str] = field(default_factory=dict)


def claims(keys: Collection[str]) -> bool:
    """Whether a checkpoint with these keys is PHDiffusion's own."""
    return f"{ADAPTER}conv_in.weight" in keys and f"{FUSION}0.norm.weight" in keys


def add_arguments(parser: ArgumentParser) -> None:
    add_repository(parser)
    candidates.add_unet_form(parser)
    parser.add_argument(
        "--checkpoint", type=Path, metavar="FILE", required=True, help="PHDiffusionWithRes.pth or ...WithoutRes.pth"
    )
    parser.add_argument(
        "--stable-diffusion", type=Path, metavar="PATH", required=True, help="sd-v1-4.ckpt, or a folder of diffusers"
    )
    parser.add_argument(
        "--residual",
        choices=tuple(FORMS),
        help="whether the adapter's blocks add what they read; needed where the file's name has neither WithRes nor "
        "WithoutRes, since no key tells",
    )
    parser.add_argument("--vae", type=Path, metavar="PATH", help="folder or file, instead of Stable Diffusion's own")
    parser.add_argument(
        "--text-states", type=Path, metavar="FILE", help="safetensors with the empty prompt's `states` [n, d]"
    )
    parser.add_argument(
        "--configs", type=Path, metavar="DIR", help="folder with unet/config.json, ..., where a file has other sizes"
    )


def run(arguments: Namespace) -> None:
    """Read both checkpoints, and publish all networks or none.

    Raises:
        CheckpointError: a file is missing, of another family, which is named, or does not fit.
        CheckFailed: an export is not exact.
    """
    form = Form(arguments.attention, arguments.convolution)
    own = checkpoint.read(arguments.checkpoint)
    if not claims(own.weights):
        raise CheckpointError(f"{own.path}: not a checkpoint of PHDiffusion{family(own.weights)}")
    residual = is_residual(arguments.checkpoint, arguments.residual)
    path = arguments.stable_diffusion
    read = read_folder if path.is_dir() else read_file
    found = read(path, arguments.configs)
    if arguments.text_states or found.states is None:
        found.states = pipeline.read_states(path, arguments.text_states, found.checkpoints)
    if arguments.vae:
        found.vae = pipeline.read_part(arguments.vae, stable_diffusion.vae, found.checkpoints)
    states = pipeline.required_states(found.states, found.config.context)
    config = AdapterConfig(residual, found.config.widths)
    adapter = named(own.path, lambda: assemble(lambda: Adapter(config), part(own.weights, ADAPTER)))
    fusion = part(own.weights, FUSION)
    named(own.path, lambda: assemble(lambda: FeatureFusion(found.config.widths[-len(unet.FUSED) :]), dict(fusion)))
    weights = found.weights | {f"interact_blocks.{key}": value for key, value in fusion.items()}
    denoiser = named(path, lambda: assemble(lambda: PaintingUnet(found.config), weights))

    def networks() -> Iterator[Candidate]:
        yield from candidates.vae(found.vae, form, VAE)
        yield adapter_candidate(adapter, config)
        yield unet_candidate(denoiser, states, form)

    origin = {"checkpoints": {own.path.name: own.sha256, **found.checkpoints}}
    candidates.publish(networks(), arguments.model_repository, origin)


def family(keys: Collection[str]) -> str:
    """What a checkpoint is of that is not PHDiffusion's own, in words; empty where that is not known."""
    if single_file.UNET_KEY in keys:
        return ", but of Stable Diffusion: give it with --stable-diffusion"
    return elsewhere(keys) or f", which has the keys {ADAPTER}* and {FUSION}*"


def is_residual(path: Path, given: str | None) -> bool:
    """Whether the adapter's blocks add what they read, by the argument or else the file's published name."""
    if given is not None:
        return FORMS[given]
    for name, residual in FILES.items():
        if name.lower() in path.name.lower():
            return residual
    raise CheckpointError(
        f"{path}: its keys do not tell whether the adapter's blocks add what they read, nor does its name; "
        f"give --residual {' or '.join(FORMS)}"
    )


def part(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The weights under a prefix, without it."""
    return {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}


def read_file(path: Path, configs: Path | None) -> StableDiffusion:
    """Stable Diffusion from one file in CompVis's layout, of the published sizes or those of `configs`."""
    file = single_file.whole(path)

    def build() -> StableDiffusion:
        config = compvis.published_sizes(configs)
        weights = compvis.unet_weights(file.weights, config)
        return StableDiffusion(
            config, weights, *single_file.vae_and_states(file.weights, configs), {path.name: file.sha256}
        )

    return single_file.converted(path, build)


def read_folder(path: Path, _configs: Path | None) -> StableDiffusion:
    """Stable Diffusion from diffusers' folder."""
    pipeline.check_schedule(path / "scheduler" / "scheduler_config.json")
    checkpoints: dict[str, str] = {}
    config, weights = pipeline.read_part(path / "unet", compvis.from_diffusers, checkpoints)
    vae = pipeline.read_part(path / "vae", stable_diffusion.vae, checkpoints)
    return StableDiffusion(config, weights, vae, None, checkpoints)


def adapter_candidate(found: Adapter, config: AdapterConfig) -> Candidate:
    """The adapter, as it is published: it runs once a picture."""
    network = ServedAdapter(found)
    expected = answers(network, phdiffusion_adapter.NETWORK.samples())
    return Candidate(phdiffusion_adapter.NETWORK, network, expected, record(found, config))


def unet_candidate(found: PaintingUnet, states: Tensor, form: Form) -> Candidate:
    """The UNet with the empty prompt folded in, rewritten for the runtime once the original has answered."""
    network = ServedPaintingUnet(found, states)
    expected = answers(network, unet.NETWORK.samples())
    fold_text(network, states)
    rewrite(network, form, found.config.coarsest())
    return Candidate(unet.NETWORK, network, expected, record(found, found.config))


def record(network: object, config: Any) -> dict[str, Any]:
    """What `model.json` says of the network."""
    return {"network": type(network).__name__, "config": asdict(config)}
