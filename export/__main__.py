"""`python -m export cris|dht --checkpoint FILE`, and `python -m export golden --rule RULE FILE...`."""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

from torch import nn

from export import checkpoint, golden
from export.checkpoint import CheckpointError
from export.networks import harmony_transformer
from export.networks.cris import Cris
from export.onnx_file import CheckFailed, publish
from export.served_model import CRIS, DHT, ServedModel
from export.serving import ServedCris, ServedHarmonizer

REPOSITORY = Path(__file__).parents[1] / "model_repository"


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
        print(f"{name}: batch {difference.batch}, ONNX Runtime differs from torch by {difference.difference:.2e}")
    print(f"{name}: now served as {model.name}")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m export", description="Published checkpoints to checked ONNX models."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for model, what in ((CRIS, "CRIS R50 or R101"), (DHT, "any of the four Harmony Transformers")):
        command = commands.add_parser(model.name, help=f"export {what} into the model repository")
        command.add_argument("--checkpoint", type=Path, required=True, help="the authors' .pth, or .safetensors")
        command.add_argument("--model-repository", type=Path, default=REPOSITORY)
        command.set_defaults(model=model)
    command = commands.add_parser("golden", help="compare exported networks with published numeric answers")
    command.add_argument("--rule", type=Path, required=True, help="Python file that makes the weights and inputs")
    command.add_argument("files", type=Path, nargs="+", metavar="FILE.npz")
    arguments = parser.parse_args()
    try:
        if arguments.command == "golden":
            return golden.run(arguments.rule, arguments.files)
        convert(arguments.model, arguments.checkpoint, arguments.model_repository)
    except (CheckpointError, CheckFailed) as error:
        print(f"export: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
