"""The flags that say which server, shared by the subcommands that talk to one."""

import argparse
import os
from collections.abc import Mapping
from typing import TypedDict

from concord_client.commands import UsageError
from concord_client.transport import DEFAULT_ADDRESSES, Address, ProtocolName

URL_VARIABLE = "CONCORD_URL"


class Connection(TypedDict):
    """Keyword arguments of `Client` and `AsyncClient`."""

    url: str
    protocol: ProtocolName
    timeout: float | None


def add_connection_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds ``--url``, ``--protocol`` and ``--timeout``."""
    group = parser.add_argument_group("server")
    group.add_argument(
        "--url",
        metavar="HOST:PORT",
        help=f"address of the server (default: ${URL_VARIABLE}, or {DEFAULT_ADDRESSES['grpc']}, "
        f"{DEFAULT_ADDRESSES['http']} for http)",
    )
    group.add_argument("--protocol", choices=tuple(DEFAULT_ADDRESSES), default="grpc", help="default: grpc")
    group.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=_positive_seconds,
        help="longest wait for one answer (default: what the model declares)",
    )


def read_connection(args: argparse.Namespace, environment: Mapping[str, str] = os.environ) -> Connection:
    """The server that the flags, or else the environment, name.

    Raises:
        UsageError: an address that cannot be.
    """
    try:
        address = Address.of(args.url or environment.get(URL_VARIABLE) or None, args.protocol)
    except ValueError as error:
        raise UsageError(str(error)) from None
    return Connection(url=address.url, protocol=address.protocol, timeout=args.timeout)


def _positive_seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds
