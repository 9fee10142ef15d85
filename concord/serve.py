"""``concord serve``: the whole stack in the foreground, until Ctrl-C or SIGTERM."""

import argparse
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

from concord.errors import ServerFailure
from concord.installation import MODEL_REPOSITORIES
from concord.server import EmbeddedServer, Ports
from concord.watchdog import Watchdog

HELP = "keep the server up in the foreground until Ctrl-C or SIGTERM"


class _Stop(BaseException):
    """A signal asked the command to stop."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    add_server_arguments(parser)
    parser.add_argument("--model-config-name", default="", help="profile of the models, such as cuda or tensorrt")
    parser.add_argument("--log-file", type=Path, help="receives Triton's log (default: in the user's state folder)")


def add_server_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments that say where a server listens and what it serves."""
    parser.add_argument("--http-port", type=int, default=Ports.http, help="default: %(default)s")
    parser.add_argument("--grpc-port", type=int, default=Ports.grpc, help="default: %(default)s")
    parser.add_argument("--metrics-port", type=int, default=Ports.metrics, help="default: %(default)s")
    parser.add_argument(
        "--model-repository",
        type=Path,
        action="append",
        help="folder with models, may be given several times (default: the project's models and ensembles)",
    )


def run(args: argparse.Namespace) -> int:
    """Serves until a signal comes; returns the exit status."""
    log_path = args.log_file or _default_log(args.http_port)
    log_path.parent.mkdir(parents=True, exist_ok=True)
    log_path.write_bytes(b"")
    server = EmbeddedServer(
        args.model_repository or MODEL_REPOSITORIES,
        ports=Ports(args.http_port, args.grpc_port, args.metrics_port),
        model_config_name=args.model_config_name,
        log_path=log_path,
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _raise_stop)
    try:
        return _serve(server)
    except _Stop:
        _say("stopping; requests that are being answered are finished first (again: stop at once)")
        try:
            server.stop()
        except _Stop:
            server.stop(drain=False)
        return 0
    except ServerFailure as failure:
        server.stop(drain=False)
        _say(f"{failure}\nTriton's log: {log_path}\n`concord doctor` looks for common causes")
        return 1


def _serve(server: EmbeddedServer) -> int:
    _say("starting")
    server.start()
    if server.unexported:
        _say(f"not served, since not exported: {', '.join(sorted(server.unexported))}")
    _say(f"ready: HTTP {server.http_url}, gRPC {server.grpc_url}, metrics {server.metrics_url}; log {server.log_path}")
    Watchdog(server, notify=_say).watch(threading.Event())
    return 0


def _default_log(http_port: int) -> Path:
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "concord" / f"serve-{http_port}.log"


def _say(words: str) -> None:
    print(f"concord: {words}", file=sys.stderr, flush=True)


def _raise_stop(_number: int, _frame: FrameType | None) -> None:
    raise _Stop


def main() -> int:
    """``python -m concord.serve``."""
    parser = argparse.ArgumentParser(prog="concord serve", description=HELP)
    add_arguments(parser)
    return run(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
