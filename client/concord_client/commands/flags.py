"""The flags of several subcommands: which server, and settings, which only the server's catalogue knows."""

import argparse
import math
import os
from collections.abc import Mapping, Sequence
from typing import TypedDict

from concord_client.catalogue import Catalogue, Pipeline
from concord_client.commands import UsageError
from concord_client.errors import InvalidInput
from concord_client.inference import find_setting
from concord_client.settings import SettingValue
from concord_client.transport import DEFAULT_ADDRESSES, Address, ProtocolName

URL_VARIABLE = "CONCORD_URL"
FLAG = "--"


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


def read_connection(args: argparse.Namespace) -> Connection:
    """The server that the flags, or else the environment, name.

    Raises:
        UsageError: an address that cannot be.
    """
    try:
        address = Address.of(args.url or os.environ.get(URL_VARIABLE) or None, args.protocol)
    except ValueError as error:
        raise UsageError(str(error)) from None
    return Connection(url=address.url, protocol=address.protocol, timeout=args.timeout)


def given_settings(assignments: Sequence[str], flags: Sequence[str]) -> dict[str, str | None]:
    """Names and written values of the settings on a command line; None for a flag without a value.

    Args:
        assignments: the values of ``--set``.
        flags: the words that no declared flag takes: ``--name value``, ``--name=value`` or ``--name``.

    Raises:
        UsageError: one of the words is none of these.
    """
    given: dict[str, str | None] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not name or not equals:
            raise UsageError(f"--set is {assignment!r}; allowed: NAME=VALUE")
        given[name] = text
    words = list(flags)
    while words:
        word = words.pop(0)
        if not word.startswith(FLAG) or word == FLAG:
            raise UsageError(f"unrecognized argument: {word}")
        flag, equals, text = word.removeprefix(FLAG).partition("=")
        if not equals and words and not words[0].startswith(FLAG):
            equals, text = "=", words.pop(0)
        given[flag.replace("-", "_")] = text if equals else None
    return given


def read_given(catalogue: Catalogue, pipeline: Pipeline, given: Mapping[str, str | None]) -> dict[str, SettingValue]:
    """The values of the settings of a pipeline that `given_settings` found.

    Raises:
        UsageError: the model has no such setting, or the setting does not allow the value.
    """
    values = {}
    for name, text in given.items():
        try:
            setting = find_setting(catalogue, pipeline, name)
            if text is None and setting.kind is not bool:
                raise UsageError(f"--{name} needs a value; allowed: {setting.allowed}")
            values[name] = setting.check(True if text is None else setting.read(text))
        except InvalidInput as error:
            raise UsageError(f"--{name}: {error.problem}; allowed: {error.allowed}") from None
        except ValueError:
            raise UsageError(f"--{name}: is {str(text)[:40]!r}; allowed: {setting.allowed}") from None
    return values


def numbers(text: str) -> list[float]:
    """Reads finite numbers with commas between them, as `argparse` wants it."""
    try:
        read = [float(word) for word in text.split(",")]
    except ValueError:
        read = []
    if not read or not all(map(math.isfinite, read)):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not numbers with commas between them")
    return read


def _positive_seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds
