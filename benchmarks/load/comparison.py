"""Two recipes alternately, so that noise of the machine affects both: their ratios, and what follows from them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats  # type: ignore[import-untyped]

from benchmarks.load.generator import Destination, Generator
from benchmarks.load.recipe import Load
from benchmarks.load.result import summarize
from concord.errors import ServerFailure

CONFIDENCE = 0.95
FEWEST_PAIRS = 6
RESAMPLES = 9999
FASTER, SLOWER, UNSEEN = "faster", "slower", "no difference that this noise lets one see"


@dataclass(frozen=True)
class Block:
    """A short stretch of a load."""

    answered: int
    p50: float
    per_second: float


@dataclass(frozen=True)
class Ratio:
    """The new setting over the base: geometric mean over pairs of blocks, its interval of `CONFIDENCE`, the verdict."""

    ratio: float
    low: float
    high: float
    verdict: str


@dataclass(frozen=True)
class Comparison:
    """The comparison of one load; each block of `base` is a pair with that of `here`."""

    load: str
    p50: Ratio
    throughput: Ratio
    base: list[Block]
    here: list[Block]


def compare(
    asking: Generator, load: Load, base: Destination, here: Destination, pairs: int, seconds: float, warm_up: float
) -> Comparison:
    """Runs the load on both alternately: base, here; here, base; and so on, so that neither always comes first.

    Args:
        pairs: of blocks, at least `FEWEST_PAIRS`.
        seconds: of all blocks of one side together; those of `warm_up` do not count.

    Raises:
        ServerFailure: a block without an answer.
        OSError: nothing answers at a destination.
    """
    sides = {"base": base, "here": here}
    blocks: dict[str, list[Block]] = {"base": [], "here": []}
    if warm_up:
        for destination in sides.values():
            load.run(asking, destination, warm_up)
    for number in range(pairs):
        for side in ("base", "here") if number % 2 == 0 else ("here", "base"):
            blocks[side].append(_block(asking, load, sides[side], seconds / pairs, side))
    medians, rates = (
        {side: [getattr(block, name) for block in blocks[side]] for side in sides} for name in ("p50", "per_second")
    )
    faster, more = ratio(**medians, less_is_faster=True), ratio(**rates, less_is_faster=False)
    return Comparison(load.name, faster, more, **blocks)


def ratio(base: Sequence[float], here: Sequence[float], *, less_is_faster: bool) -> Ratio:
    """Geometric mean of here over base and its bootstrap interval over pairs.

    A percentile interval of so few pairs is too narrow; it is widened to what Student's t would give on normal data,
    as in T. Hesterberg, "What Teachers Should Know About the Bootstrap" (2015).

    Raises:
        ValueError: fewer than `FEWEST_PAIRS`.
    """
    pairs = len(base)
    if pairs < FEWEST_PAIRS:
        raise ValueError(f"{pairs} pairs of blocks; allowed: {FEWEST_PAIRS} or more")
    logarithms = np.log(np.asarray(here) / np.asarray(base))
    tail = stats.norm.cdf(np.sqrt(pairs / (pairs - 1)) * stats.t.ppf((1 - CONFIDENCE) / 2, pairs - 1))
    interval = stats.bootstrap(
        (logarithms,),
        np.mean,
        n_resamples=RESAMPLES,
        confidence_level=1 - 2 * tail,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    low, high = float(np.exp(interval.low)), float(np.exp(interval.high))
    less, more = (FASTER, SLOWER) if less_is_faster else (SLOWER, FASTER)
    verdict = less if high < 1 else more if low > 1 else UNSEEN
    return Ratio(float(np.exp(logarithms.mean())), low, high, verdict)


def _block(asking: Generator, load: Load, destination: Destination, seconds: float, side: str) -> Block:
    replies = load.run(asking, destination, seconds)
    result = summarize(load.name, replies, seconds, load.closed)
    if not result.per_second:
        refused = ", ".join(result.errors) or "none in time"
        raise ServerFailure("server", f"{side}: no answer to {result.asked} requests in a block ({refused})")
    return Block(result.answered, result.milliseconds["p50"], result.per_second)
