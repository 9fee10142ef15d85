"""`python -m export NETWORK ...` puts published checkpoints into the model repository; `golden` checks the networks."""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

from torch import nn

from export import (
    checkpoint,
    companions,
    diffharmony,
    engine,
    engine_profiles,
    fp16,
    golden,
    pipeline,
    quantization,
    single_file,
)
from export.checkpoint import CheckpointError
from export.engine_profiles import EngineError
from export.networks import harmony_transformer
from export.networks.cris import Cris
from export.onnx_file import CheckFailed, publish
from export.publication import REPOSITORY
from export.runtime_form import Form
from export.served_diffusion import HARMONY_VAE, REFINEMENT
from export.served_model import CRIS, DHT, ServedModel
from export.serving import ServedCris, ServedHarmonizer


def convert(model: ServedModel, path: Path, repository: Path) -> None:
    """Read, identify, load, export, check, replace; one line a checked batch.

    Raises:
        CheckpointError: the file cannot be used.
        CheckFailed: the export is not exact.
    """
    file = checkpoint.read(path)
    config: object
    network: nn.Module
    if model is CRIS:
        config = cris_config = checkpoint.cris_config(file)
        network = ServedCris(core := Cris(cris_config))
        name = f"cris, {sum(cris_config.vision_layers) * 3 + 2} layers"
    else:
        config = dht_config = checkpoint.harmonizer_config(file)
        core = harmony_transformer.build(dht_config)
        network = ServedHarmonizer(core)
        name = dht_config.form
    checkpoint.load(core, file.weights)
    source = {"network": name, "config": asdict(config), "checkpoint": path.name, "checkpoint_sha256": file.sha256}
    for difference in publish(network.eval(), model, repository, source):
        print(f"{name}: {difference}")
    print(f"{name}: now served as {model.name}")


def convert_pipeline(arguments: argparse.Namespace) -> None:
    """Read a pipeline from wherever the arguments say, and publish its models."""
    if arguments.single_file:
        found = single_file.read(arguments.single_file, arguments.pipeline)
    else:
        found = pipeline.read(arguments.pipeline, arguments.unet, arguments.vae, arguments.text_states)
    variants = arguments.variants or ["null_text"]
    diffharmony.publish(found, arguments.model_repository, variants, form_of(arguments))


def form_of(arguments: argparse.Namespace) -> Form:
    return Form(arguments.attention, arguments.convolution)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m export", description="Published checkpoints to checked ONNX models."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    into = argparse.ArgumentParser(add_help=False)
    into.add_argument("--model-repository", type=Path, default=REPOSITORY)
    for model, what in ((CRIS, "CRIS R50 or R101"), (DHT, "any of the four Harmony Transformers")):
        command = commands.add_parser(model.name, help=f"export {what} into the model repository", parents=[into])
        command.add_argument("--checkpoint", type=Path, required=True, help="the authors' .pth, or .safetensors")
        command.set_defaults(model=model)
    for model, what in ((HARMONY_VAE, "DiffHarmony++'s condition VAE"), (REFINEMENT, "DiffHarmony's second stage")):
        command = commands.add_parser(model.name, help=f"export {what} into the model repository", parents=[into])
        # Run once where the UNet runs at every step: their size is worth more than their time.
        add_form(command, convolution="direct")
        command.add_argument("--checkpoint", type=Path, required=True, help="folder with config.json, or weights")
        command.set_defaults(model=model)
    command = commands.add_parser(
        "diffharmony", help="export Stable Diffusion's VAE and DiffHarmony's UNet", parents=[into]
    )
    add_form(command, convolution="winograd")
    command.add_argument("--pipeline", type=Path, metavar="DIR", help="folder that diffusers saved: unet/, vae/, ...")
    command.add_argument("--unet", type=Path, metavar="PATH", help="folder or file, instead of the pipeline's")
    command.add_argument("--vae", type=Path, metavar="PATH", help="folder or file, instead of the pipeline's")
    command.add_argument(
        "--single-file", type=Path, metavar="FILE", help="a whole checkpoint; sizes from --pipeline's configs if given"
    )
    command.add_argument(
        "--text-states", type=Path, metavar="FILE", help="safetensors with the empty prompt's `states` [n, d]"
    )
    for flag, variant, what in (
        ("--null-text", "null_text", "unet, with the empty prompt folded in (the default)"),
        ("--prompted", "prompted", "unet_prompted, which takes text states; both flags: both"),
    ):
        command.add_argument(flag, dest="variants", action="append_const", const=variant, help=what)
    command = commands.add_parser(
        "engine", help="build an exported network for an engine, in a precision", parents=[into]
    )
    add_engine(command)
    command = commands.add_parser("golden", help="compare exported networks with published numeric answers")
    command.add_argument("--rule", type=Path, required=True, help="Python file that makes the weights and inputs")
    command.add_argument("files", type=Path, nargs="+", metavar="FILE.npz")
    return parser.parse_args()


def add_form(command: argparse.ArgumentParser, convolution: str) -> None:
    command.add_argument(
        "--attention",
        choices=("fused", "plain"),
        default="fused",
        help="fused: ONNX Runtime's operator, on CPU and CUDA; plain: standard operators, for TensorRT",
    )
    command.add_argument(
        "--convolution",
        choices=("winograd", "direct"),
        default=convolution,
        help="winograd: fewer products and larger weights, for processors; direct: as published, for GPUs "
        f"(default: {convolution})",
    )


def add_engine(command: argparse.ArgumentParser) -> None:
    command.add_argument("network", metavar="MODEL", help="of the model repository, such as dht")
    command.add_argument(
        "--flavour",
        choices=(*engine.FLAVOURS, "onnxruntime", "openvino"),
        default="tensorrt",
        help="Triton loads all but those of tensorrt-rtx",
    )
    command.add_argument(
        "--precision",
        choices=("fp32", "fp16", "int8"),
        default="fp32",
        help="int8: openvino; fp16: onnxruntime and both of TensorRT; fp32: TensorRT",
    )
    command.add_argument(
        "--profile",
        action="append",
        default=[],
        metavar="INPUT:MIN,OPT,MAX",
        help="shapes of an input, such as LATENT:1x4x32x32,1x4x64x64,4x4x128x128; may be repeated "
        "(default: every batch and resolution that is served)",
    )
    command.add_argument(
        "--calibration", type=Path, metavar="FILE", help="int8: .npz with an array [N, ...] an input, instead of scenes"
    )
    command.add_argument(
        "--samples", type=int, default=60, metavar="N", help="int8: calibrate on so many (default: %(default)s)"
    )
    command.add_argument(
        "--compute-capability", metavar="X.Y", help="tensorrt-rtx: build for it instead of for the GPU at hand"
    )


def build_engine(arguments: argparse.Namespace) -> None:
    profiles = dict(map(engine_profiles.read, arguments.profile))
    into, precision = arguments.model_repository, arguments.precision
    if arguments.flavour == "openvino":
        print(quantization.build(arguments.network, into, precision, arguments.calibration, arguments.samples))
    elif arguments.flavour == "onnxruntime":
        print(fp16.build(arguments.network, into, precision))
    else:
        capability = arguments.compute_capability
        print(engine.build(arguments.network, into, arguments.flavour, precision, profiles, capability))


def main() -> int:
    arguments = parse()
    try:
        if arguments.command == "golden":
            return golden.run(arguments.rule, arguments.files)
        if arguments.command == "engine":
            build_engine(arguments)
        elif arguments.command == "diffharmony":
            convert_pipeline(arguments)
        elif arguments.model in (HARMONY_VAE, REFINEMENT):
            companions.convert(arguments.model, arguments.checkpoint, arguments.model_repository, form_of(arguments))
        else:
            convert(arguments.model, arguments.checkpoint, arguments.model_repository)
    except (CheckpointError, CheckFailed, EngineError, OSError) as error:
        print(f"export: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
