"""What is repaired in an expression, and what makes one useless: regular expressions with names."""

import re
import unicodedata

import ftfy

from annotation.wording import MOST_CHARACTERS

_PUNCTUATION = r"\s.,;:!?'\"/&+#。、…-"  # what may stand inside an expression
REPAIRS = {
    "markup": (r"</?[a-zA-Z][^<>]*>", " "),
    "symbols": (r"[*_~^`=<>@$€£¥§¶©®•·|\\\[\]\u2190-\u2bff\ufe0f\U0001f000-\U0001faff]", " "),
    "a list's number": (r"^\s*(?:\d{1,2}[.)]|[-*])\s+", ""),
    "punctuation around it": (rf"^[){_PUNCTUATION}]+|[({_PUNCTUATION}]+$", ""),
    "punctuation again and again": (r"([.,;:!?'\"/&%+#-])\1+", r"\1"),
    "blanks": (r"\s+", " "),
}
"""By name, in the order in which they are done: what is replaced, and by what."""
REFUSED = {
    "a link or an address": r"https?://|\bwww\.|\S@\S+\.\w",
    "a file or code": r"[{}\\|]|\w\.(?:jpe?g|png|gif|bmp|webp|html?)\b",
    "a placeholder": r"^\W*(?:n/?a|none|null|nan|nothing|unknown|undefined|untitled|test|todo|asdf\w*|qwerty\w*)\W*$",
    "one letter again and again": r"([^\W\d_])\1{3,}",
    "without a letter": r"^[\W\d_]*$",
    "too long": rf"^[\s\S]{{{MOST_CHARACTERS + 1},}}$",
}
"""By the reason that is counted: what an expression may not have, looked for in it as it is composed."""

_REPAIRS = [(re.compile(pattern), text) for pattern, text in REPAIRS.values()]
_REFUSED = {reason: re.compile(pattern, re.IGNORECASE) for reason, pattern in REFUSED.items()}


def composed(text: str) -> str:
    """A text with one form for each character: encoding errors undone, NFKC, nothing that cannot be seen."""
    fixed = ftfy.fix_text(text, normalization="NFKC")
    return "".join(" " if each.isspace() else each for each in fixed if each.isspace() or _seen(each))


def repaired(text: str) -> str:
    """A composed text without markup, symbols, and punctuation around it."""
    for pattern, replacement in _REPAIRS:
        text = pattern.sub(replacement, text)
    return text.strip()


def refusal(text: str) -> str | None:
    """Why a composed text is no expression, one of `REFUSED`; None if it may be one."""
    return next((reason for reason, pattern in _REFUSED.items() if pattern.search(text)), None)


def mended(expression: str) -> tuple[str, str | None]:
    """An expression, composed and repaired, and why it is none, one of `REFUSED`, or None."""
    text = composed(expression)
    whole = repaired(text)
    return whole, refusal(text) or refusal(whole)


def _seen(character: str) -> bool:
    return unicodedata.category(character)[0] != "C"
