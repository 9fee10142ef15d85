"""Expressions by rule, from what is seen of a part: in the style of RefCOCO, which names places, and of RefCOCO+."""

from annotation.traits import Traits
from annotation.wording import plain

NOUN = "object"
MOST = 5


def expressions(traits: Traits) -> list[str]:
    """At most `MOST`, those that say more first; none says nothing but that there is something."""
    adjectives = (traits.size, traits.shape, traits.colour)
    place = _place(traits)
    found = [
        _said((traits.colour,), place),
        _said(adjectives, ""),
        _said((traits.size,), place),
        _said((traits.colour,), ""),
        _said(adjectives, place),
        _said((traits.size, traits.shape), ""),
    ]
    merged = {plain(each): each for each in reversed(found) if plain(each) != NOUN}
    return list(reversed(merged.values()))[:MOST]


def _place(traits: Traits) -> str:
    if traits.column and traits.row:
        return f"in the {traits.row} {traits.column}"
    if traits.column:
        return f"on the {traits.column}"
    return f"at the {traits.row}" if traits.row else "in the middle"


def _said(adjectives: tuple[str, ...], place: str) -> str:
    return " ".join(["the", *filter(None, adjectives), NOUN, *filter(None, [place])])
