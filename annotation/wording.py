"""The words of an expression: which may be written, and which are the same."""

import hashlib
import unicodedata

from facade.problems import Problem

MOST_CHARACTERS = 200
"""Of an expression; RefCOCOg, whose are the longest, has 8.4 words on average."""
ALLOWED = f"a text of 1 to {MOST_CHARACTERS} characters, with a letter or a number and without control characters"
_ARTICLES = frozenset({"a", "an", "the"})
_UNSEEN = frozenset({"Cc", "Cs", "Co", "Cn", "Zl", "Zp"})
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that change the direction of what stands around them."""


def checked(words: str, field: str) -> str:
    """An expression as it is kept: composed (NFC), without blanks around it and with single ones in it.

    Raises:
        Problem: `invalid_text`: nothing is in it, it is too long, or a character is not allowed.
    """
    words = words.strip()
    if any(unicodedata.category(each) in _UNSEEN or each in _TURNING for each in words):
        raise Problem("invalid_text", "a character in it cannot be seen", field=field, allowed=ALLOWED)
    words = " ".join(unicodedata.normalize("NFC", words).split())
    if len(words) > MOST_CHARACTERS:
        raise Problem("invalid_text", f"it has {len(words)} characters", field=field, allowed=ALLOWED)
    if not any(each.isalnum() for each in words):
        raise Problem("invalid_text", "there are no words in it", field=field, allowed=ALLOWED)
    return words


def visible(words: str) -> str:
    """The same without what `checked` refuses."""
    return "".join(each for each in words if unicodedata.category(each) not in _UNSEEN and each not in _TURNING)


def plain(words: str) -> str:
    """What is compared: without differences of case, width, articles, punctuation and blanks."""
    seen = unicodedata.normalize("NFKC", words).casefold()
    kept = "".join(each if unicodedata.category(each)[0] in "LMN" else " " for each in seen).split()
    return " ".join([each for each in kept if each not in _ARTICLES] or kept)


def sameness(words: str) -> str:
    """The same for expressions that are the same but for what `plain` leaves out: a SHA-256, in hexadecimal."""
    return hashlib.sha256(plain(words).encode()).hexdigest()
