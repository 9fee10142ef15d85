"""Build an exported network for an engine, in a precision."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from export import engine_profiles
from export.arguments import add_repository

FLAVOURS = ("tensorrt", "tensorrt-rtx", "onnxruntime", "openvino")


def add_arguments(parser: ArgumentParser) -> None:
    add_repository(parser)
    parser.add_argument("network", metavar="MODEL", help="of the model repository, such as unet")
    parser.add_argument(
        "--flavour", choices=FLAVOURS, default="tensorrt", help="Triton loads all but those of tensorrt-rtx"
    )
    parser.add_argument(
        "--precision",
        choices=("fp32", "fp16", "int8"),
        default="fp32",
        help="int8: openvino; fp16: onnxruntime and both of TensorRT; fp32: TensorRT",
    )
    parser.add_argument(
        "--profile",
        action="append",
        default=[],
        metavar="INPUT:MIN,OPT,MAX",
        help="shapes of an input, such as LATENT:1x4x32x32,1x4x64x64,4x4x128x128; may be repeated "
        "(default: every batch and resolution that is served)",
    )
    parser.add_argument(
        "--calibration", type=Path, metavar="FILE", help="int8: .npz with an array [N, ...] an input, instead of scenes"
    )
    parser.add_argument(
        "--samples", type=int, default=60, metavar="N", help="int8: calibrate on so many (default: %(default)s)"
    )
    parser.add_argument(
        "--compute-capability", metavar="X.Y", help="tensorrt-rtx: build for it instead of for the GPU at hand"
    )


def run(arguments: Namespace) -> None:
    """Build it and say what is there; each engine's package is imported only here."""
    profiles = dict(map(engine_profiles.read, arguments.profile))
    network, into, precision = arguments.network, arguments.model_repository, arguments.precision
    if arguments.flavour == "openvino":
        from export import quantization

        print(quantization.build(network, into, precision, arguments.calibration, arguments.samples))
    elif arguments.flavour == "onnxruntime":
        from export import fp16

        print(fp16.build(network, into, precision))
    else:
        from export import tensorrt

        capability = arguments.compute_capability
        print(tensorrt.build(network, into, arguments.flavour, precision, profiles, capability))
