"""``concord accounts``: accounts by the command line, among them the first administrator."""

import argparse
import asyncio
import getpass
import sys
from typing import TYPE_CHECKING

from concord_client.commands import ExitCode, UsageError
from facade.accounts.roles import ROLES, USER
from facade.settings import Settings, SettingsError, from_arguments

if TYPE_CHECKING:
    from facade.accounts.people import People

HELP = "add, change, list and remove accounts; make the first administrator"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--store", default=argparse.SUPPRESS, help="its address; prefer the variable [CONCORD_STORE]")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    add = actions.add_parser("add", help="make an account; the password is asked for, or read from a pipe")
    add.add_argument("name")
    add.add_argument("--role", choices=ROLES, default=USER)
    password = actions.add_parser("password", help="set another password, for somebody who has forgotten it")
    password.add_argument("name")
    change = actions.add_parser("change", help="change the role or the limits")
    change.add_argument("name")
    change.add_argument("--role", choices=ROLES)
    change.add_argument("--blocked", action=argparse.BooleanOptionalAction)
    change.add_argument("--limits", help="as in the file of keys, such as 'rate=10/minute pictures=100'; '' for none")
    actions.add_parser("list", help="print a line for each: name, role, pictures of today, limits")
    remove = actions.add_parser("remove", help="remove an account and everything of it in the store")
    remove.add_argument("name")


def run(args: argparse.Namespace) -> int:
    """Does it, in the store of the settings.

    Raises:
        UsageError: a setting or the store is not usable.
    """
    try:
        settings = from_arguments(args)
        from facade.store.errors import StoreError
    except (SettingsError, ImportError) as error:
        raise UsageError(str(error)) from error
    from facade.problems import Problem

    try:
        password = _password() if args.action in ("add", "password") else ""
        for line in asyncio.run(_done(settings, args, password)):
            print(line)
    except StoreError as error:
        raise UsageError(str(error)) from error
    except Problem as problem:
        allowed = f"; allowed: {problem.allowed}" if problem.allowed else ""
        print(f"concord: {problem.field or 'accounts'}: {problem.detail}{allowed}", file=sys.stderr)
        return ExitCode.NO_ANSWER if problem.code == "unavailable" else ExitCode.FAILED
    return ExitCode.OK


def _password() -> str:
    """Never on the command line, where other users of the machine see it."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    given = getpass.getpass("password: ")
    if getpass.getpass("once more: ") != given:
        raise UsageError("the two passwords differ")
    return given


async def _done(settings: Settings, args: argparse.Namespace, password: str) -> list[str]:
    from facade.access.caller import Allowance
    from facade.accounts.hashing import Hashing
    from facade.accounts.people import People
    from facade.store.store import MIGRATIONS, Store

    hashing = Hashing()
    try:
        async with Store(settings.store_url, MIGRATIONS) as store:
            return await _told(People(store, hashing, Allowance.of(settings)), args, password)
    finally:
        hashing.close()


async def _told(people: "People", args: argparse.Namespace, password: str) -> list[str]:
    match args.action:
        case "add":
            account = await people.add(args.name, password, args.role)
            return [f"{account.name} is {account.role}"]
        case "password":
            await people.set_password((await people.named(args.name)).id, password)
            return [f"{args.name} has another password, and is signed out everywhere"]
        case "change":
            account = await people.change(args.name, args.role, args.blocked, args.limits)
            return [f"{account.name} is {account.role}{', blocked' if account.blocked else ''}: {account.limits}"]
        case "remove":
            await people.remove(args.name)
            return [f"{args.name} is removed"]
    return [
        "\t".join((each.name, each.role + (" (blocked)" if each.blocked else ""), str(pictures), each.limits))
        for each, pictures in await people.all()
    ]
