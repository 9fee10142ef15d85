"""What the commands on data in iHarmony4's layout share: flags, the server, and how errors end them."""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from annotation.record import DatasetError
from concord.errors import ConcordError
from concord.instruments.arguments import positive
from concord.server.embedded import EmbeddedServer, Ports
from concord_client import Client
from concord_client.errors import ConcordClientError

OUTPUT = Path("out/quality")


def parser(name: str, about: str | None, output: Path) -> argparse.ArgumentParser:
    """A parser with the flags that all commands have; `name` is that of the module, `output` the default folder."""
    made = argparse.ArgumentParser(
        prog=f"python -m {name}", description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--dataset", type=Path, required=True, metavar="DIR", help="with HCOCO, HAdobe5k, ... in it")
    made.add_argument("--url", help="host:port of a server's gRPC; without it one is started")
    made.add_argument("--output", type=Path, default=output, metavar="DIR", help=f"default: {output}")
    made.add_argument("--limit", type=positive, metavar="N", help="score no more than so many this time")
    made.add_argument(
        "--full-resolution",
        action="store_true",
        help="send the photographs as they are; without it at 256 x 256, as published",
    )
    return made


def add_expressions(made: argparse.ArgumentParser, required: bool) -> None:
    """The flag of the file with referring expressions."""
    words = "records in JSON lines: find the objects by these texts, each text for itself"
    made.add_argument("--expressions", type=Path, required=required, metavar="FILE", help=words)


def ended(run: Callable[[argparse.Namespace], object], arguments: argparse.Namespace) -> int:
    """Runs a command; returns its exit code: 1 after an error, which is told in one line, 130 where it was stopped."""
    try:
        run(arguments)
    except (ConcordError, ConcordClientError, DatasetError, OSError) as error:
        print(f"quality: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("quality: stopped; the same command continues", file=sys.stderr)
        return 130
    return 0


@contextmanager
def client_of(url: str | None) -> Iterator[Client]:
    """A client of the server at `url`, or of one that is started."""
    with ExitStack() as stack:
        url = url or stack.enter_context(EmbeddedServer(ports=Ports(0, 0, 0))).grpc_url
        yield stack.enter_context(Client(url, timeout=None))


def write_report(path: Path, pieces: Sequence[str], missing: Sequence[str]) -> None:
    """Prints and writes the pieces of a report, and what is missing."""
    told = [*pieces, "\n".join(("missing:", "", *(f"- {line}" for line in missing)))] if missing else list(pieces)
    report = "\n\n".join(told) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(report, encoding="utf-8")
    print(f"\n{report}\nwritten to {path}")
