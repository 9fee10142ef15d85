"""`python -m export COMMAND ...` puts published checkpoints into the model repository, and builds them for engines.

A command is a module; only the one that is asked for is imported, since torch and diffusers take seconds.
"""

import ast
import importlib
import sys
from argparse import ArgumentParser
from pathlib import Path

from export.errors import ExportError
from export.networks import NETWORKS, PARTS
from export.pipelines import PIPELINES

CHECKPOINTS = {name: f"export.networks.{name}" for name in NETWORKS if name not in PARTS}
COMMANDS = (
    CHECKPOINTS
    | {name: f"export.pipelines.{name}" for name in PIPELINES}
    | {name: f"export.{name}" for name in ("engine", "golden", "configs")}
)
"""By name, the module that is the command, or the network that it exports."""


def main(arguments: list[str] | None = None) -> int:
    overview = ArgumentParser(prog="python -m export", description="Published checkpoints to checked ONNX models.")
    commands = overview.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        commands.add_parser(name, help=about(module), add_help=False)
    chosen, rest = overview.parse_known_args(arguments)
    name, module = chosen.command, COMMANDS[chosen.command]
    parser = ArgumentParser(prog=f"python -m export {name}", description=about(module))
    command = importlib.import_module(module)
    try:
        if name in CHECKPOINTS:
            convert = importlib.import_module("export.convert")
            convert.add_arguments(parser, command.NETWORK)
            convert.run(command.NETWORK, parser.parse_args(rest))
            return 0
        command.add_arguments(parser)
        return command.run(parser.parse_args(rest)) or 0
    except (ExportError, OSError) as error:
        print(f"export: {error}", file=sys.stderr)
        return 1


def about(module: str) -> str:
    """The first line of a module's docstring, read without importing it."""
    path = Path(__file__).parents[1].joinpath(*module.split(".")).with_suffix(".py")
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    return text.partition("\n")[0].rstrip(".").replace("%", "%%")


if __name__ == "__main__":
    sys.exit(main())
