"""Texts for what a scene shows, and the word pieces that they are made of."""

from functools import cache
from pathlib import Path

import numpy as np

from concord.arrays import Pixels
from concord.scenes.colours import PAINTS
from concord.scenes.expressions import SHAPE_WORDS, Described, expressions
from concord.scenes.scene import Scene
from concord.word_pieces import SPECIAL, WordPieces, dump

_LAYOUTS = 4000


@cache
def pieces() -> tuple[str, ...]:
    """BERT's special pieces, and the words of expressions: found in those of many layouts that are not drawn."""
    rng = np.random.default_rng(0)
    shapes, colours, words = tuple(SHAPE_WORDS), tuple(PAINTS), set[str]()
    for _ in range(_LAYOUTS):
        objects = []
        for _ in range(rng.integers(2, 6)):
            x, y = rng.random(2).tolist()
            shape, colour = shapes[rng.integers(len(shapes))], colours[rng.integers(len(colours))]
            objects.append(Described(shape, colour, x, y, x, y, rng.uniform(0.09, 0.27)))
        words.update(*(text.split() for text in expressions(rng, objects, 0)))
    return *SPECIAL, *sorted(words)


@cache
def tokenizer() -> WordPieces:
    """One per process."""
    return WordPieces(pieces())


def write_vocabulary(path: Path) -> None:
    """The file that the exporter takes as BERT's."""
    path.write_bytes(dump(pieces()))


def caption(rng: np.random.Generator, scene: Scene) -> tuple[str, Pixels]:
    """An expression for one of the objects, and its mask [H, W] of 0 and 255."""
    referral = scene.referrals[rng.integers(len(scene.referrals))]
    return str(rng.choice((referral.expression, *referral.alternatives))), referral.mask
