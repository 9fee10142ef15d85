"""``concord keys``: a new API key and its line for the file of hashes."""

import argparse
import re
import secrets
import sys

HELP = "make a new API key: it is shown on stderr, and the line for --api-keys-file goes to stdout"
_NAME = re.compile(r"[A-Za-z0-9._@-]{1,64}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", type=_name, help="who is to hold it; the name is in the log with each request")


def run(args: argparse.Namespace) -> int:
    """Prints the key, which is kept nowhere, and the line with its hash."""
    from facade.access.keys import hash_of

    key = new_key()
    print(f"the key of {args.name}, shown only now: {key}", file=sys.stderr, flush=True)
    print(f"{args.name} {hash_of(key)}")
    return 0


def new_key() -> str:
    """A key that nobody can guess."""
    return f"concord-{secrets.token_urlsafe(32)}"


def _name(given: str) -> str:
    if not _NAME.fullmatch(given):
        raise argparse.ArgumentTypeError(f"{given[:64]!r} is no name: 1 to 64 letters, digits and . _ @ -")
    return given
