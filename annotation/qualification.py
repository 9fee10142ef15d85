"""The round before the work: questions whose answers are known, of which a share has to be right."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from annotation.record import Annotation, DatasetError, Record
from annotation.wording import sameness

MOST_WRONG = 4


@dataclass(frozen=True)
class Question:
    """A composite, and the expressions to choose from; if none of them is right, the sample is to be skipped."""

    composite: str
    options: tuple[str, ...]
    right: frozenset[str]

    def is_right(self, chosen: Iterable[str]) -> bool:
        """Whether these are all of the right ones, and no other."""
        return frozenset(chosen) == self.right


@dataclass(frozen=True)
class Qualification:
    """Questions from known answers.

    Attributes:
        answers: the right expressions by composite; none where it is to be skipped.
        number: how many questions are asked.
        threshold: which share of them has to be right, 0..1.
    """

    answers: Mapping[str, tuple[str, ...]]
    number: int
    threshold: float

    @classmethod
    def of(cls, records: Sequence[Record], composites: Iterable[str], number: int, threshold: float) -> Self:
        """From records.

        Raises:
            DatasetError: a composite is not in the data set, or there are not as many as are to be asked.
        """
        answers: dict[str, tuple[str, ...]] = {}
        for record in records:
            expressions = (record.expression,) if isinstance(record, Annotation) else ()
            answers[record.composite] = (*answers.get(record.composite, ()), *expressions)
        if unknown := sorted(answers.keys() - set(composites)):
            raise DatasetError(f"the qualification has {unknown[0]}, which is not in the data set")
        if len(answers) < number:
            raise DatasetError(f"the qualification has {len(answers)} composites; {number} are to be asked")
        return cls(answers, number, threshold)

    def questions(self, annotator: str, attempt: int) -> list[Question]:
        """Those of an attempt: always the same for it, and others for the next one, where there are others."""
        chance = random.Random(f"{annotator}\n{attempt}")  # noqa: S311 - which questions are asked is no secret
        composites = chance.sample(sorted(self.answers), self.number)
        return [self._question(composite, chance) for composite in composites]

    def is_passed(self, right: Iterable[bool]) -> bool:
        """Whether the answers to all questions are enough."""
        return sum(right) >= self.threshold * self.number

    def _question(self, composite: str, chance: random.Random) -> Question:
        """Wrong options are what is right for other composites."""
        right = self.answers[composite]
        taken = {sameness(each) for each in right}
        others = {sameness(each): each for name in sorted(self.answers) for each in self.answers[name]}
        wrong = sorted(each for same, each in others.items() if same not in taken)
        options = [*right, *chance.sample(wrong, min(MOST_WRONG, len(wrong)))]
        chance.shuffle(options)
        return Question(composite, tuple(options), frozenset(right))
