"""Random draws from small tuples. Generator.choice is slow there, because it makes an array of its argument first."""

from collections.abc import Sequence
from itertools import accumulate
from typing import TypeVar

import numpy as np

T = TypeVar("T")


def one_of(rng: np.random.Generator, options: Sequence[T], weights: Sequence[float] | None = None) -> T:
    """One of the options, with equal probabilities or with those of the weights (which need not sum to 1)."""
    if weights is None:
        return options[int(rng.integers(len(options)))]
    sums = tuple(accumulate(weights))
    point = rng.random() * sums[-1]
    return next(option for option, reach in zip(options, sums, strict=True) if point < reach)


def shuffled(rng: np.random.Generator, options: Sequence[T], weights: Sequence[float]) -> list[T]:
    """All options in random order, by weighted draws without replacement (Efraimidis and Spirakis, 2006)."""
    keys = rng.standard_exponential(len(options)) / np.asarray(weights)
    return [options[int(index)] for index in np.argsort(keys)]
