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
    | {name: f"export.{name}" for name in ("engine", "judge", "store", "golden", "configs")}
)
"""By name, the module that is the command, or the network that it exports."""
NEW = (*CHECKPOINTS, *PIPELINES, "engine")
"""The commands that put files into a model repository."""


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
        status = 0
        if name in CHECKPOINTS:
            convert = importlib.import_module("export.convert")
            convert.add_arguments(parser, command.NETWORK)
            given = parser.parse_args(rest)
            convert.run(command.NETWORK, given)
        else:
            command.add_arguments(parser)
            given = parser.parse_args(rest)
            status = command.run(given) or 0
        if name in NEW:
            # `concord serve` takes no form of a new network before it is judged.
            for line in importlib.import_module("export.judge").judge_new(given.model_repository):
                print(line, flush=True)
        return status
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
