"""Lines through measurements, where measurements leave their line, and which part of the cost is the cause."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats  # type: ignore[import-untyped]

from concord.instruments.markdown import percent, significant

TOLERANCE = 0.1
"""A measurement this share off the line is still on it: less is of no consequence."""
CONFIDENCE = 0.99
FULL = 0.95
"""A server that carries this share of the most it ever carried is full."""
FITTING = 0.8
"""A line explains at least this share of the variance, or none fits."""
WAITING = "waiting for "
"""Before a model's name, the part of the time in which requests waited for it."""
REST = "between the models"
"""The part of the time that no model had: the client, the network, copies and scheduling."""

Samples = Sequence[Sequence[float]]
"""Measurements at each place."""


@dataclass(frozen=True)
class Line:
    """y = intercept + slope * x, and the share of the variance that it explains."""

    intercept: float
    slope: float
    r_squared: float

    def __call__(self, x: float) -> float:
        return self.intercept + self.slope * x


@dataclass(frozen=True)
class Departure:
    """The position of the first point off the line through those before it, the line's value there, and the median."""

    position: int
    expected: float
    measured: float


@dataclass(frozen=True)
class Curve:
    """A cost at points along an axis.

    Attributes:
        each: a unit of the axis, such as "megapixel"; `quantity` and `unit` are the cost's.
        at: the points, ascending.
        parts: the mean cost of each part at each point; the remainder is `REST`.
    """

    each: str
    quantity: str
    unit: str
    at: Sequence[float]
    samples: Samples
    parts: Sequence[Mapping[str, float]] = ()

    def medians(self) -> list[float]:
        return [float(np.median(each)) for each in self.samples]

    def shares(self, position: int) -> dict[str, float]:
        """Mean cost of each part at a point, `REST` included."""
        spent = dict(self.parts[position])
        return spent | {REST: float(np.mean(self.samples[position])) - sum(spent.values())}


def fit(at: Sequence[float], samples: Samples) -> Line:
    """The line of Theil and Sen (1968) through all measurements, which is robust against single points."""
    x, y = _pairs(at, samples)
    slope, intercept, *_ = stats.theilslopes(y, x, method="joint")
    spread = np.square(y - y.mean()).sum()
    left = np.square(y - intercept - slope * x).sum()
    return Line(float(intercept), float(slope), float(1 - left / spread) if spread else 1.0)


def departure(at: Sequence[float], samples: Samples) -> Departure | None:
    """The first point from which on all medians are off the line through the points before, on the same side of it.

    A point is off the line if it differs from it by more than `TOLERANCE` and lies outside the prediction interval of
    least squares (Student's t at `CONFIDENCE`) for its number of measurements.
    """
    for position in range(2, len(at)):
        before = at[:position], samples[:position]
        if sum(map(len, samples[:position])) >= 3:
            line = fit(*before)
            behind = zip(at[position:], samples[position:], strict=True)
            sides = {_side(line, *before, x, there) for x, there in behind}
            if sides in ({1}, {-1}):
                return Departure(position, line(at[position]), float(np.median(samples[position])))
    return None


def _side(line: Line, at: Sequence[float], samples: Samples, x: float, there: Sequence[float]) -> int:
    """1 if the measurements at x are above the line through the samples, -1 below, 0 on it."""
    places, values = _pairs(at, samples)
    left = values - line.intercept - line.slope * places
    freedom = len(places) - 2
    spread = np.square(places - places.mean()).sum()
    variance = np.square(left).sum() / freedom * (1 / len(there) + 1 / len(places) + (x - places.mean()) ** 2 / spread)
    interval = stats.t.ppf((1 + CONFIDENCE) / 2, freedom) * np.sqrt(variance)
    off = float(np.median(there)) - line(x)
    return int(np.sign(off)) if abs(off) > max(interval, TOLERANCE * abs(line(x))) else 0


def _pairs(at: Sequence[float], samples: Samples) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Every measurement with its point."""
    places = np.repeat(np.asarray(at, float), [len(each) for each in samples])
    return places, np.concatenate([np.asarray(each, float) for each in samples])


def linear_places(curve: Curve) -> int:
    """Number of first points that lie on one line."""
    found = departure(curve.at, curve.samples)
    return len(curve.at) if found is None else found.position


def describe(curve: Curve) -> str:
    """Sentences: the line, where it ends, and which part of the cost grows."""
    found = departure(curve.at, curve.samples)
    places = linear_places(curve)
    line = fit(curve.at[:places], curve.samples[:places])
    reach = f"from {curve.at[0]:g} to {curve.at[places - 1]:g} {curve.each}s"
    if found is None and line.r_squared < FITTING:
        first, *_, last = curve.medians()
        ends = f"{significant(first)} {curve.unit} at {curve.at[0]:g} and {significant(last)} at {curve.at[-1]:g}"
        return " ".join([f"No line fits {curve.quantity} {reach} (R² {line.r_squared:.2f}): {ends}.", *_growth(curve)])
    sentences = [
        f"{curve.quantity.capitalize()} is linear {reach}: {significant(line.intercept)} {curve.unit} and "
        f"{significant(line.slope)} for each {curve.each} (R² {line.r_squared:.3f}).",
        *_off(curve, line, places),
    ]
    if found is None:
        return " ".join([*sentences, *_growth(curve)])
    off = found.measured - found.expected
    times = f"{significant(found.measured / found.expected)} times" if found.expected else "not"
    sentences.append(
        f"At {curve.at[places]:g} it is {times} what that line says, {significant(found.measured)} {curve.unit} "
        f"instead of {significant(found.expected)}, and stays {'above' if off > 0 else 'below'} it."
    )
    return " ".join([*sentences, *_cause(curve, places, off)])


def _off(curve: Curve, line: Line, places: int) -> Iterator[str]:
    """The points that are off their own line nevertheless."""
    over = {x: median / line(x) for x, median in zip(curve.at[:places], curve.medians(), strict=False) if line(x)}
    stray = [f"{significant(each)} times at {x:g}" for x, each in over.items() if abs(each - 1) > TOLERANCE]
    if stray:
        yield f"Off that line by more than {percent(TOLERANCE)}: {', '.join(stray)}."


def _growth(curve: Curve) -> Iterator[str]:
    """The part with most of the growth from the first point to the last."""
    if not curve.parts:
        return
    first, last = curve.shares(0), curve.shares(len(curve.at) - 1)
    growth = {name: spent - first.get(name, 0) for name, spent in last.items() if spent > first.get(name, 0)}
    if growth:
        name = max(growth, key=growth.__getitem__)
        yield f"Of its growth, {percent(growth[name] / sum(growth.values()))} is {named(name)}."


def _cause(curve: Curve, places: int, off: float) -> Iterator[str]:
    """The part that is furthest off its own line on the same side as the whole, and its share before and after."""
    if not curve.parts:
        return
    here, before = curve.shares(places), curve.shares(places - 1)
    beyond = {}
    for name, spent in here.items():
        own = fit(curve.at[:places], [[curve.shares(position).get(name, 0)] for position in range(places)])
        beyond[name] = (spent - own(curve.at[places])) * np.sign(off)
    name = max(beyond, key=lambda each: beyond[each])
    then, now = before.get(name, 0) / sum(before.values()), here[name] / sum(here.values())
    yield (
        f"Of the {significant(abs(off))} {curve.unit} {'too many' if off > 0 else 'that are missing'}, "
        f"{significant(beyond[name])} are {named(name)}, whose share of the whole goes from {percent(then)} to "
        f"{percent(now)}."
    )


def full(clients: Sequence[int], rates: Sequence[float]) -> int:
    """The smallest number of clients at which the rate is within `FULL` of the largest."""
    return next(each for each, rate in zip(clients, rates, strict=True) if rate >= FULL * max(rates))


def named(part: str) -> str:
    """A part's name, with that of its model as code."""
    model = part.removeprefix(WAITING)
    return part if part == REST else f"{part[: -len(model)]}`{model}`"
