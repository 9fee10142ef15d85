"""Referring expressions: texts that identify one object of a scene by colour, shape, size and place."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import hypot, inf

import numpy as np

from concord.scenes.chance import one_of, shuffled

SHAPE_WORDS = {
    "ball": ("ball", "ball", "sphere"),
    "box": ("box", "box", "square"),
    "triangle": ("triangle",),
    "star": ("star",),
    "ring": ("ring",),
    "cross": ("cross", "cross", "plus"),
    "bar": ("bar", "bar", "stick"),
    "heart": ("heart",),
    "hexagon": ("hexagon",),
    "moon": ("moon", "moon", "crescent"),
}
ANYTHING = ("thing", "object", "one", "shape")
SIZE_WORDS = {"big": ("big", "large"), "small": ("small", "little")}
EXTREME_WORDS = {"biggest": ("biggest", "largest"), "smallest": ("smallest",)}
PLACE_WORDS = {"left": ("left",), "right": ("right",), "top": ("top", "upper"), "bottom": ("bottom", "lower")}
RELATION_WORDS = {
    "above": ("above", "over"),
    "below": ("below", "under"),
    "left of": ("left of", "to the left of"),
    "right of": ("right of", "to the right of"),
    "next to": ("next to", "near"),
}

BIG, SMALL = 0.175, 0.125
SIZE_MARGIN = 1.3
PLACE_MARGIN = 0.15


@dataclass(frozen=True)
class Described:
    """The properties of an object that a text can name.

    colour: None if it has no clear name. x, y: centre, 0..1 across the frame; u, v: the centre in units of the shorter
    side, so that distances along both axes compare. radius: in units of the shorter side.
    """

    shape: str
    colour: str | None
    x: float
    y: float
    u: float
    v: float
    radius: float


@dataclass(frozen=True)
class _Named:
    """A noun phrase that is true of an object, "{}" where an adjective stands, and the other objects it may mean."""

    own: Described
    rivals: tuple[Described, ...]
    phrase: str

    def said(self, adjective: str = "") -> str:
        return self.phrase.format(f"{adjective} " if adjective else "")


def _nouns(rng: np.random.Generator, objects: Sequence[Described], target: int) -> dict[str, _Named]:
    """The noun phrases that are true of the target, by kind: "colour shape", "shape", "colour" and "any"."""
    own = objects[target]
    others = tuple(other for other in objects if other is not own)
    same_shape = tuple(other for other in others if other.shape == own.shape)
    shape_word = one_of(rng, SHAPE_WORDS[own.shape])
    anything = one_of(rng, ANYTHING)
    phrases = {"shape": _Named(own, same_shape, f"{{}}{shape_word}"), "any": _Named(own, others, f"{{}}{anything}")}
    if own.colour is not None:
        # Any colour word may mean an object whose colour is unclear.
        same_colour = tuple(other for other in others if other.colour in (own.colour, None))
        both = tuple(other for other in same_colour if other.shape == own.shape)
        phrases["colour"] = _Named(own, same_colour, f"{{}}{own.colour} {anything}")
        phrases["colour shape"] = _Named(own, both, f"{{}}{own.colour} {shape_word}")
    return phrases


def _with_article(rng: np.random.Generator, phrase: str) -> str:
    return phrase if rng.random() < 0.3 else f"the {phrase}"


def _plain(rng: np.random.Generator, named: _Named, objects: Sequence[Described]) -> str | None:
    phrase = named.said()
    words = phrase.split()
    if named.rivals or phrase in ANYTHING:
        return None
    if len(words) == 2 and words[1] in ANYTHING and rng.random() < 0.25:
        return f"the {words[1] if words[1] != 'one' else 'thing'} that is {words[0]}"
    return _with_article(rng, phrase)


def _size(
    rng: np.random.Generator, named: _Named, words: Mapping[str, Sequence[str]], large: float, small: float
) -> str | None:
    """A phrase by a word for large or small things, the keys of ``words``, if the target clearly is that."""
    radius, others = named.own.radius, [other.radius for other in named.rivals]
    biggest, smallest = words
    if radius >= large and all(radius >= SIZE_MARGIN * other for other in others):
        word = one_of(rng, words[biggest])
    elif radius <= small and all(radius * SIZE_MARGIN <= other for other in others):
        word = one_of(rng, words[smallest])
    else:
        return None
    return _with_article(rng, named.said(word))


def _sized(rng: np.random.Generator, named: _Named, objects: Sequence[Described]) -> str | None:
    return _size(rng, named, SIZE_WORDS, BIG, SMALL)


def _extreme(rng: np.random.Generator, named: _Named, objects: Sequence[Described]) -> str | None:
    return _size(rng, named, EXTREME_WORDS, 0, inf) if named.rivals else None


def _sides(own: Described, others: Sequence[Described]) -> list[str]:
    """The sides at which the target clearly is, and clearly more than the others."""
    sides = []
    if own.x <= 0.42 and all(own.x + PLACE_MARGIN <= other.x for other in others):
        sides.append("left")
    if own.x >= 0.58 and all(own.x - PLACE_MARGIN >= other.x for other in others):
        sides.append("right")
    if own.y <= 0.42 and all(own.y + PLACE_MARGIN <= other.y for other in others):
        sides.append("top")
    if own.y >= 0.58 and all(own.y - PLACE_MARGIN >= other.y for other in others):
        sides.append("bottom")
    return sides


def _at_side(rng: np.random.Generator, named: _Named, objects: Sequence[Described]) -> str | None:
    sides = _sides(named.own, named.rivals)
    if not sides:
        return None
    side = one_of(rng, sides)
    style = rng.random()
    if style < 0.35:
        return _with_article(rng, named.said(one_of(rng, PLACE_WORDS[side])))
    if side in ("left", "right"):
        if style < 0.45 and named.rivals:
            return _with_article(rng, named.said(f"{side}most"))
        ending = one_of(rng, (f"on the {side}", f"on the {side} side", f"at the {side}"), (0.65, 0.2, 0.15))
    else:
        ending = one_of(rng, (f"at the {side}", f"on the {side}"), (0.8, 0.2))
    return _with_article(rng, f"{named.said()} {ending}")


def _in_corner(rng: np.random.Generator, named: _Named, objects: Sequence[Described]) -> str | None:
    own = named.own
    if not ((own.x <= 0.40 or own.x >= 0.60) and (own.y <= 0.40 or own.y >= 0.60)):
        return None
    left, top = own.x < 0.5, own.y < 0.5
    for other in named.rivals:
        beyond_x = other.x >= 0.55 if left else other.x <= 0.45
        beyond_y = other.y >= 0.55 if top else other.y <= 0.45
        if not (beyond_x or beyond_y):
            return None
    across = "left" if left else "right"
    corner = f"{one_of(rng, PLACE_WORDS['top' if top else 'bottom'])} {across}"
    if rng.random() < 0.3:
        return _with_article(rng, named.said(corner))
    place = one_of(rng, (f"at the {corner}", f"in the {corner}", f"in the {corner} corner"))
    return _with_article(rng, f"{named.said()} {place}")


def _in_the_middle(rng: np.random.Generator, named: _Named, objects: Sequence[Described]) -> str | None:
    def off_centre(one: Described) -> float:
        return hypot(one.x - 0.5, one.y - 0.5)

    if off_centre(named.own) > 0.13 or any(off_centre(other) < 0.27 for other in named.rivals):
        return None
    return _with_article(rng, f"{named.said()} in the {one_of(rng, ('middle', 'center'))}")


def holds(relation: str, own: Described, anchor: Described) -> bool | None:
    """Whether `own` stands in the relation (any but "next to") to `anchor`; None if people would differ."""
    across, down = own.u - anchor.u, own.v - anchor.v
    along, aside = {
        "above": (-down, across),
        "below": (down, across),
        "left of": (-across, down),
        "right of": (across, down),
    }[relation]
    if along >= 0.12 and abs(aside) <= 0.9 * along:
        return True
    if along <= 0.02 or abs(aside) >= 1.7 * along:
        return False
    return None


def _is_nearest(own: Described, others: Sequence[Described], anchor: Described) -> bool:
    def distance(one: Described) -> float:
        return hypot(one.u - anchor.u, one.v - anchor.v)

    return distance(own) <= 0.5 and all(distance(own) <= 0.65 * distance(other) for other in others)


def _related(rng: np.random.Generator, named: _Named, objects: Sequence[Described]) -> str | None:
    """A phrase by an anchor that colour and shape identify, if the relation separates the target from its like."""
    for index in rng.permutation(len(objects)):
        anchor = objects[index]
        if anchor is named.own:
            continue
        phrases = _nouns(rng, objects, index)
        unique = [phrases[key] for key in ("colour shape", "shape") if key in phrases and not phrases[key].rivals]
        if not unique:
            continue
        others = [other for other in named.rivals if other is not anchor]
        true = [
            relation
            for relation in ("above", "below", "left of", "right of")
            if holds(relation, named.own, anchor) and all(holds(relation, other, anchor) is False for other in others)
        ]
        if others and _is_nearest(named.own, others, anchor):
            true.append("next to")
        if true:
            relation = one_of(rng, RELATION_WORDS[one_of(rng, true)])
            return _with_article(rng, f"{named.said()} {relation} the {unique[0].said()}")
    return None


_Template = Callable[[np.random.Generator, _Named, Sequence[Described]], str | None]
# Kinds of phrase, and how often each is tried first with each of the noun phrases that it takes.
_SHARES: dict[_Template, dict[str, float]] = {
    _plain: {"colour shape": 0.22, "shape": 0.14, "colour": 0.07},
    _sized: {"colour shape": 0.07, "shape": 0.04, "colour": 0.02},
    _extreme: {"shape": 0.03, "colour shape": 0.02, "colour": 0.02, "any": 0.02},
    _at_side: {"colour shape": 0.07, "shape": 0.07, "colour": 0.03, "any": 0.02},
    _in_corner: {"colour shape": 0.03, "shape": 0.03, "any": 0.02},
    _in_the_middle: {"colour shape": 0.02, "shape": 0.02, "any": 0.01},
    _related: {"colour shape": 0.03, "shape": 0.03, "any": 0.01},
}
_GRAMMAR = [(template, noun) for template, nouns in _SHARES.items() for noun in nouns]
_WEIGHTS = [share for nouns in _SHARES.values() for share in nouns.values()]


def expressions(rng: np.random.Generator, objects: Sequence[Described], target: int) -> Iterator[str]:
    """Different expressions that only the target satisfies, in random order; empty if no expression identifies it."""
    nouns = _nouns(rng, objects, target)
    said = set()
    for template, noun in shuffled(rng, _GRAMMAR, _WEIGHTS):
        if noun in nouns:
            expression = template(rng, nouns[noun], objects)
            if expression is not None and expression not in said:
                said.add(expression)
                yield expression
