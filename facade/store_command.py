"""``concord store``: the version of the store's tables, and migrations up and down."""

import argparse
import asyncio
import sys
from typing import TYPE_CHECKING

from concord_client.commands import ExitCode, UsageError
from facade.settings import SettingsError, from_arguments

if TYPE_CHECKING:
    from facade.store.store import Store

HELP = "show the version of the store's tables, or migrate them up or down"
_NOTHING = "no tables"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--store", default=argparse.SUPPRESS, help="its address; prefer the variable [CONCORD_STORE]")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("current", help="print the version of its tables, and that of this program")
    up = actions.add_parser("upgrade", help="migrate up; `concord serve` does it by itself")
    up.add_argument("to", nargs="?", default="head", help="a version; by default this program's")
    down = actions.add_parser("downgrade", help="migrate down, before an older program is installed")
    down.add_argument("to", help="a version, or base for no tables at all: what is in them is lost")


def run(args: argparse.Namespace) -> int:
    """Prints what there is afterwards.

    Raises:
        UsageError: there is no store, its address is none, or the version is not known.
    """
    from facade.store.errors import StoreAway, StoreError, StoreFull
    from facade.store.store import MIGRATIONS, Store

    try:
        url = from_arguments(args).store.get_secret_value()
    except SettingsError as error:
        raise UsageError(str(error)) from error
    if not url:
        raise UsageError("there is no store: --store (CONCORD_STORE) is empty")
    try:
        print(asyncio.run(_done(Store(url, MIGRATIONS), args)))
    except StoreError as error:
        raise UsageError(str(error)) from error
    except (StoreAway, StoreFull) as error:
        print(f"concord: {error.detail}", file=sys.stderr)
        return ExitCode.NO_ANSWER
    return ExitCode.OK


async def _done(store: "Store", args: argparse.Namespace) -> str:
    if args.action != "current":
        await store.migrate(args.to)
    try:
        return f"{await store.version() or _NOTHING} (this program: {store.versions.head})"
    finally:
        await store.close()
