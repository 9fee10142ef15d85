"""How far annotators agree on samples that several of them answered."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations


@dataclass(frozen=True)
class Answer:
    """One annotator's answer to a sample: the numbers of the expressions that were chosen and of those offered."""

    annotator: str
    chosen: frozenset[int]
    offered: frozenset[int]


@dataclass(frozen=True)
class Agreement:
    """Over all pairs of answers to the same sample.

    Attributes:
        pairs: how many there are.
        overlap: mean of |A ∩ B| / |A ∪ B| of the chosen expressions (Jaccard), own ones included, 0..1; two that both
            skipped a sample agree. None without pairs.
        kappa: Cohen's kappa (1960) of "chosen or not" over the suggestions that both were offered, -1..1, where chance
            is that of the two sides of the pairs; None where chance alone gives full agreement, or nothing was offered.
    """

    pairs: int
    overlap: float | None
    kappa: float | None


def agreement(samples: Iterable[Sequence[Answer]]) -> Agreement:
    """Of the answers to each sample; a sample with one answer says nothing."""
    pairs = [pair for answers in samples for pair in combinations(sorted(answers, key=_name), 2)]
    overlaps = [_overlap(first.chosen, second.chosen) for first, second in pairs]
    decisions = [each for first, second in pairs for each in _decisions(first, second)]
    return Agreement(len(pairs), sum(overlaps) / len(overlaps) if overlaps else None, kappa(decisions))


def kappa(decisions: Sequence[tuple[bool, bool]]) -> float | None:
    """Cohen's kappa of decisions by two; None where it is not defined."""
    if not decisions:
        return None
    number = len(decisions)
    observed = sum(first == second for first, second in decisions) / number
    first, second = (sum(each[side] for each in decisions) / number for side in (0, 1))
    expected = first * second + (1 - first) * (1 - second)
    return None if expected >= 1 else (observed - expected) / (1 - expected)


def _name(answer: Answer) -> str:
    return answer.annotator


def _overlap(first: frozenset[int], second: frozenset[int]) -> float:
    return len(first & second) / len(first | second) if first or second else 1.0


def _decisions(first: Answer, second: Answer) -> Iterator[tuple[bool, bool]]:
    for each in first.offered & second.offered:
        yield each in first.chosen, each in second.chosen
