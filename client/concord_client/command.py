"""The command ``concord``.

Subcommands have ``HELP``, ``add_arguments(parser)`` and ``run(args) -> int``, and ``DESCRIPTION`` where there is more
to say. Every task has one, made of its fields; others are modules, or objects in one, of this package or of the
entry-point group ``concord.commands``. Only the module of the subcommand that is called is imported, except for the
list in ``--help``.

Exit codes: 0 all done; 1 an input was refused, a file could not be read or written, or some image of a folder failed;
2 wrong usage; 3 no server, a busy one, or no answer in time; 4 the server failed or lacks the pipeline;
130 interrupted.
"""

import argparse
import importlib
import io
import os
import signal
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import Protocol, cast

from concord_client.commands import ExitCode, UsageError, exit_code, one_line
from concord_client.commands.task import TaskCommand
from concord_client.errors import ConcordClientError
from concord_client.tasks import TASKS

GROUP = "concord.commands"
BUILT_IN = {"models": "concord_client.commands.models"} | {
    name: f"concord_client.commands.manage:{name.upper()}" for name in ("load", "unload", "reload")
}


class Command(Protocol):
    """A subcommand; with an attribute ``takes_settings`` that is true, it finds flags that it did not declare in
    ``args.unknown``."""

    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declares the flags."""

    def run(self, args: argparse.Namespace) -> int:
        """Does it; returns the exit code."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs ``concord`` and returns its exit code; errors go to stderr in one line.

    Args:
        arguments: without the program's name; None for the process's own.
    """
    # Nothing of gRPC's own log is news beside the typed errors.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    # So that SIGTERM cancels requests and cleans up half-written files as Ctrl-C does, also in a job in the background,
    # for which a shell ignores SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file's name that is not UTF-8 goes out as it came in.
        sys.stdout.reconfigure(errors="surrogateescape")
    arguments = sys.argv[1:] if arguments is None else arguments
    args, unknown = _parser(arguments).parse_known_args(arguments)
    if unknown and not args.takes_settings:
        args.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    args.unknown = unknown
    try:
        return int(args.run(args))
    except UsageError as error:
        args.parser.print_usage(sys.stderr)
        print(f"{args.parser.prog}: error: {error}", file=sys.stderr)
        return ExitCode.USAGE
    except (ConcordClientError, OSError) as error:
        print(f"concord: {one_line(error)}", file=sys.stderr)
        return exit_code(error)
    except KeyboardInterrupt:
        print("concord: interrupted", file=sys.stderr)
        return ExitCode.INTERRUPTED


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="concord",
        description="Text-guided image harmonization, served.",
        epilog=(__doc__ or "").rpartition("\n\n")[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    tasks = {request.TASK: request for request in TASKS}
    modules = {entry.name: entry.value for entry in entry_points(group=GROUP)} | BUILT_IN
    names = [*tasks, *modules]
    called = [name for name in arguments[:1] if name in names]
    for name in called or names:
        try:
            command = TaskCommand(tasks[name]) if name in tasks else _loaded(modules[name])
        except ImportError as error:
            if called:
                parser.error(f"{name} is not usable here: {one_line(error)}")
            commands.add_parser(name, help=f"(not usable: {one_line(error)})", add_help=False)
            continue
        subparser = commands.add_parser(
            name,
            help=command.HELP,
            description=getattr(command, "DESCRIPTION", command.HELP),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            # The beginning of a declared flag may be the name of a model's setting.
            allow_abbrev=False,
        )
        command.add_arguments(subparser)
        takes_settings = getattr(command, "takes_settings", False)
        subparser.set_defaults(run=command.run, parser=subparser, takes_settings=takes_settings)
    return parser


def _loaded(name: str) -> Command:
    module, _, attribute = name.partition(":")
    found = importlib.import_module(module)
    return cast(Command, getattr(found, attribute) if attribute else found)


if __name__ == "__main__":
    sys.exit(main())
