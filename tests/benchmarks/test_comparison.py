"""What can be said of two servers that were measured in turns."""

import numpy as np
import pytest

from benchmarks.load.comparison import FASTER, SLOWER, UNSEEN, compare, ratio
from benchmarks.load.generator import LOST, Destination, Generator, Replies, Reply
from concord.errors import ServerFailure


class Script:
    """A load whose requests take what the destination's name says; `asked` are the destinations in their order."""

    name = "1 client"
    closed = True

    def __init__(self, seconds: dict[str, float]) -> None:
        self.asked: list[str] = []
        self._seconds = seconds

    def run(self, asking: Generator, destination: Destination, seconds: float) -> Replies:
        self.asked.append(destination)
        each = self._seconds[destination]
        return [Reply(200 if each else LOST, each, number * each) for number in range(round(seconds / (each or 1)))]


def noise(seed: int, pairs: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Medians of two sides that are the same: a machine's drift, which both meet, and noise of their own."""
    chance = np.random.default_rng(seed)
    drift = np.exp(chance.normal(0, 0.3, pairs).cumsum())
    return 10 * drift * np.exp(chance.normal(0, 0.1, pairs)), 10 * drift * np.exp(chance.normal(0, 0.1, pairs))


def test_sides_take_turns_and_neither_always_comes_first() -> None:
    load = Script({"a": 0.01, "b": 0.02})
    found = compare(None, load, "a", "b", pairs=6, seconds=6, warm_up=1)
    assert "".join(load.asked) == "ab" + "abba" * 3
    assert (len(found.base), len(found.here), found.base[0].answered) == (6, 6, 100)
    assert found.p50.ratio == pytest.approx(2) and found.p50.verdict == SLOWER
    assert found.throughput.ratio == pytest.approx(0.5) and found.throughput.verdict == SLOWER


def test_what_takes_less_time_or_answers_more_is_faster() -> None:
    base, here = noise(1)
    assert ratio(base, here / 1.5, less_is_faster=True).verdict == FASTER
    assert ratio(base, here * 1.5, less_is_faster=False).verdict == FASTER
    assert ratio(base, here / 1.5, less_is_faster=False).verdict == SLOWER


def test_noise_alone_is_no_difference() -> None:
    seen = [ratio(*noise(seed), less_is_faster=True) for seed in range(100)]
    assert sum(each.verdict == UNSEEN for each in seen) >= 90
    assert all(each.low <= each.ratio <= each.high for each in seen)


def test_a_small_difference_is_seen_through_the_drift() -> None:
    seen = [ratio(base, 1.25 * here, less_is_faster=True).verdict for base, here in map(noise, range(50))]
    assert seen.count(SLOWER) >= 45 and FASTER not in seen


def test_a_block_without_an_answer_and_too_few_pairs_are_refused() -> None:
    with pytest.raises(ServerFailure, match=r"here: no answer to 1 requests in a block \(lost\)"):
        compare(None, Script({"a": 0.01, "b": 0}), "a", "b", pairs=6, seconds=6, warm_up=0)
    with pytest.raises(ValueError, match="6 or more"):
        ratio([1.0] * 5, [1.0] * 5, less_is_faster=True)
