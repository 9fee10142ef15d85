"""Names of accounts: short, plain, and none that looks like another's.

Only ASCII is allowed. A look-alike from another script (Unicode TS 39) cannot be written then, and what is left of them
is in one line: `LIKE`.
"""

import re
import unicodedata

from facade.problems import Problem

SHORTEST, LONGEST = 2, 32
ALLOWED = (
    f"{SHORTEST} to {LONGEST} characters: the letters a to z, digits, and . _ - between them; "
    "small and capital letters are the same"
)
LIKE = (("0", "o"), ("1", "l"), ("i", "l"), ("rn", "m"), ("vv", "w"), (".", ""), ("_", ""), ("-", ""))
"""What is taken for what."""
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9]|[._-](?=[a-z0-9]))*")


def name_of(given: str) -> str:
    """A name as it is kept: full-width letters, as some keyboards have them, are plain ones, and all are small.

    Raises:
        Problem: it is too short or too long, or has characters that are not allowed.
    """
    name = unicodedata.normalize("NFKC", given[: 4 * LONGEST]).lower()
    if not SHORTEST <= len(name) <= LONGEST or not _NAME.fullmatch(name):
        raise Problem("invalid_name", "this can be no name of an account", field="name", allowed=ALLOWED)
    return name


def likeness(name: str) -> str:
    """The same for all names that look alike."""
    for one, other in LIKE:
        name = name.replace(one, other)
    return name
