"""Rules for passwords, as NIST SP 800-63B has them: bounds on the length, no common ones, no rules of composition."""

import re
import unicodedata

from facade.problems import Problem

SHORTEST, LONGEST = 8, 128
ALLOWED = f"{SHORTEST} to {LONGEST} characters of any kind, but no common password, and not the account's name"
_FEWEST_KINDS = 4
_COMMON = (
    "password",
    "passwort",
    "passw",
    "letmein",
    "welcome",
    "iloveyou",
    "monkey",
    "dragon",
    "sunshine",
    "princess",
    "football",
    "baseball",
    "superman",
    "trustno",
    "master",
    "shadow",
    "login",
    "admin",
    "administrator",
    "changeme",
    "secret",
    "default",
    "guest",
    "woaini",
    "concord",
)
"""Words that common passwords are made of, with digits and marks around them or in the place of letters."""
_RUNS = (
    "01234567890",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiop",
    "qwertzuiop",
    "asdfghjkl",
    "zxcvbnm",
    "1qaz2wsx",
)
_LEET = str.maketrans("0134578@$!", "oleastbasi")


def password_of(given: str, name: str) -> str:
    """A new password as it is hashed, in Unicode's form KC.

    Raises:
        Problem: it is too short or too long, has control characters, or is among the first that anybody would try.
    """
    password = plain(given)
    if any(unicodedata.category(each) == "Cc" for each in password):
        raise _problem("it has control characters")
    if not SHORTEST <= len(password) <= LONGEST:
        raise _problem(f"it is too {'short' if len(password) < SHORTEST else 'long'}")
    if is_common(password, name):
        raise _problem("it is among those that are tried first")
    return password


def plain(given: str) -> str:
    """A password in the form in which all keyboards give the same; cut, so that no length costs more than another."""
    return unicodedata.normalize("NFKC", given[: 4 * LONGEST])


def is_common(password: str, name: str) -> bool:
    """Whether it is a common word or the name with little around it, a run on the keyboard, or one thing repeated."""
    lower = password.lower()
    if len(set(lower)) < _FEWEST_KINDS or any(lower == lower[:size] * (len(lower) // size) for size in (2, 3, 4)):
        return True
    letters = {re.sub(r"[^a-z]", "", each) for each in (lower, lower.translate(_LEET), lower.rstrip("0123456789!.@#$"))}
    if letters & {name, *_COMMON} or lower.strip("0123456789!.@#$_-") in (name, *_COMMON):
        return True
    keys = re.sub(r"[^a-z0-9]", "", lower)
    return bool(keys) and _is_run(keys)


def _is_run(text: str) -> bool:
    """Whether it is made of rows of keys, forwards or backwards."""
    rows = [row for each in _RUNS for row in (each, each[::-1])]
    while text:
        longest = max((_shared(text, row) for row in rows), default=0)
        if longest < _FEWEST_KINDS - 1:
            return False
        text = text[longest:]
    return True


def _shared(text: str, row: str) -> int:
    """How much of the beginning of a text is in a row."""
    size = 0
    while size < len(text) and text[: size + 1] in row:
        size += 1
    return size


def _problem(words: str) -> Problem:
    return Problem("weak_password", words, field="password", allowed=ALLOWED)
