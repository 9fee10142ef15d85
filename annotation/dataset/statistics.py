"""Statistics of a data set of expressions, as published: by sub-set, expressions a composite, lengths in words."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from annotation.iharmony4 import SUBSETS, test_stems
from annotation.record import Annotation, DatasetError, Record
from concord.instruments.markdown import percent, table

ALL = "all"


@dataclass(frozen=True)
class SubSet:
    """A sub-set, or `ALL` of them together.

    Attributes:
        composites: with an expression.
        skipped: without one, although an annotator saw them.
        training, test: how many of the expressions are of composites of the training and test set; None where
            the data set does not say.
        words: mean of an expression.
        iou: mean of those that are known, 0 to 1; None without any.
    """

    composites: int
    skipped: int
    expressions: int
    training: int | None
    test: int | None
    words: float
    iou: float | None


@dataclass(frozen=True)
class Statistics:
    """By sub-set; how many composites have so many expressions, how many expressions so many words, and the sources."""

    subsets: dict[str, SubSet]
    expressions: dict[int, int]
    words: dict[int, int]
    sources: dict[str, int]

    def numbers(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def statistics(records: Iterable[Record], tested: Mapping[str, set[str]] | None = None) -> Statistics:
    """Counts records.

    Args:
        tested: by sub-set, the stems of the composites of its test set; None where that is not known.

    Raises:
        DatasetError: there is no expression.
    """
    records = list(records)
    annotations = [record for record in records if isinstance(record, Annotation)]
    if not annotations:
        raise DatasetError("there is no expression in the file")
    in_use = {_subset(record) for record in records}
    names = [*(each for each in SUBSETS if each in in_use), *sorted(in_use - set(SUBSETS))]
    groups = {name: [record for record in records if _subset(record) == name] for name in names} | {ALL: records}
    each = Counter(annotation.composite for annotation in annotations)
    return Statistics(
        subsets={name: _sub_set(group, tested) for name, group in groups.items()},
        expressions=_counted(each.values()),
        words=_counted(len(annotation.expression.split()) for annotation in annotations),
        sources=dict(Counter(str(annotation.source) for annotation in annotations).most_common()),
    )


def read_test_sets(folder: Path) -> dict[str, set[str]]:
    """By sub-set, the test set's stems, of those sub-sets in a folder in iHarmony4's layout that list them."""
    listed = {subset: set(test_stems(folder / subset, subset)) for subset in SUBSETS}
    return {subset: stems for subset, stems in listed.items() if stems}


def report(found: Statistics, figures: Mapping[str, str]) -> str:
    """As Markdown.

    Args:
        figures: file names by their titles.
    """
    header = ["sub-set", "composites", "skipped", "expressions", "training", "test", "a composite", "words", "IoU"]
    rows = [
        [
            name,
            each.composites,
            each.skipped,
            each.expressions,
            _known(each.training, str),
            _known(each.test, str),
            f"{each.expressions / each.composites:.2f}" if each.composites else "",
            f"{each.words:.2f}" if each.expressions else "",
            _known(each.iou, lambda iou: f"{100 * iou:.2f}"),
        ]
        for name, each in found.subsets.items()
    ]
    whole = found.subsets[ALL]
    sources = [[name, count, percent(count / whole.expressions)] for name, count in found.sources.items()]
    several = [[number, count, percent(count / whole.composites)] for number, count in found.expressions.items()]
    words = [[number, count, percent(count / whole.expressions)] for number, count in found.words.items()]
    pieces = [
        "# Expressions",
        table(header, rows),
        table(["expressions a composite", "composites", "share"], several),
        table(["words an expression", "expressions", "share"], words),
        table(["source", "expressions", "share"], sources),
        *(f"![{title}]({file})" for title, file in figures.items()),
    ]
    return "\n\n".join(pieces) + "\n"


def _sub_set(records: list[Record], tested: Mapping[str, set[str]] | None) -> SubSet:
    annotations = [record for record in records if isinstance(record, Annotation)]
    composites = {annotation.composite for annotation in annotations}
    found = [annotation.iou for annotation in annotations if annotation.iou is not None]
    split = tested is not None and {_subset(record) for record in records} <= tested.keys()
    test = sum(_stem(each) in (tested or {}).get(_subset(each), ()) for each in annotations)
    return SubSet(
        composites=len(composites),
        skipped=len({record.composite for record in records} - composites),
        expressions=len(annotations),
        training=len(annotations) - test if split else None,
        test=test if split else None,
        words=fmean(len(each.expression.split()) for each in annotations) if annotations else 0.0,
        iou=fmean(found) if found else None,
    )


def _subset(record: Record) -> str:
    return record.composite.partition("/")[0]


def _stem(record: Record) -> str:
    return Path(record.composite).stem


def _counted(values: Iterable[int]) -> dict[int, int]:
    return dict(sorted(Counter(values).items()))


def _known(value: Any, written: Callable[[Any], str]) -> str:
    return "" if value is None else written(value)
