"""Annotations as they are exported and read again: JSON lines, a record each."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from concord_client.atomic_file import write_atomically


class DatasetError(Exception):
    """The data cannot be used; the text says what and where."""


class Source(StrEnum):
    """Where an expression is from: rules on mask and picture, a captioner, another annotation, or its annotator."""

    RULES = "rules"
    CAPTIONER = "captioner"
    EARLIER = "earlier"
    OWN = "own"


@dataclass(frozen=True)
class Annotation:
    """An expression that an annotator chose or wrote for a composite.

    Attributes:
        composite: sub-set and file name, such as ``HCOCO/c1_2_3.jpg``.
        expression: the words; not blank.
        iou: what a segmenter reached with them against the true mask, 0 to 1; None where that is not known.
        annotator: a name; empty where it is not known.
    """

    composite: str
    expression: str
    iou: float | None = None
    source: Source = Source.OWN
    annotator: str = ""


@dataclass(frozen=True)
class Skipped:
    """A composite for which an annotator has no expression: none of those offered fits, and none comes to mind."""

    composite: str
    annotator: str = ""


Record = Annotation | Skipped
SKIPPED = "none"
"""The value of ``skipped`` in a line."""
_FORM = (
    '{"composite": "HCOCO/c1_2_3.jpg", "expression": "the cat"}, with or without "iou", "source" and "annotator", '
    f'or {{"composite": "HCOCO/c1_2_3.jpg", "skipped": "{SKIPPED}"}}'
)
_COMPOSITE = re.compile(r"(?!\.\.?/)[^/\\\x00-\x1f]+/(?!\.\.?\Z)[^/\\\x00-\x1f]+")


def read_records(path: Path) -> list[Record]:
    """The records of a file in UTF-8, in its order; empty lines are passed over.

    Raises:
        DatasetError: names the line, and what is wrong with it.
        OSError: the file cannot be read.
    """
    records = []
    for number, line in enumerate(path.read_bytes().removeprefix(b"\xef\xbb\xbf").splitlines(), 1):
        if line.strip():
            try:
                records.append(parse_record(line))
            except ValueError as error:
                raise DatasetError(f"{path}, line {number}: {error}") from error
    return records


def parse_record(line: bytes | str) -> Record:
    """The record of a line; keys that it does not have are passed over. ValueError says what is wrong with it."""
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError(f"no JSON in UTF-8; expected {_FORM}") from None
    if not isinstance(told, dict) or ("expression" in told) == ("skipped" in told):
        raise ValueError(f"no record; expected {_FORM}")
    composite, annotator = told.get("composite"), told.get("annotator", "")
    if not isinstance(composite, str) or not _COMPOSITE.fullmatch(composite):
        raise ValueError(f"composite is {composite!r}; expected SUBSET/FILE, such as HCOCO/c1_2_3.jpg")
    if not isinstance(annotator, str):
        raise ValueError(f"annotator is {annotator!r}; expected a text")
    if "skipped" in told:
        if told["skipped"] != SKIPPED:
            raise ValueError(f'skipped is {told["skipped"]!r}; expected "{SKIPPED}"')
        return Skipped(composite, annotator)
    expression, iou, source = told["expression"], told.get("iou"), told.get("source", Source.OWN)
    if not isinstance(expression, str) or not expression.strip():
        raise ValueError(f"expression is {expression!r}; expected a text that is not blank")
    if iou is not None and (isinstance(iou, bool) or not isinstance(iou, int | float) or not 0 <= iou <= 1):
        raise ValueError(f"iou is {iou!r}; expected a number from 0 to 1, or null")
    if source not in list(Source):
        raise ValueError(f"source is {source!r}; expected one of {', '.join(Source)}")
    return Annotation(composite, expression, None if iou is None else float(iou), Source(source), annotator)


def line_of(record: Record) -> str:
    """A record as one line of JSON, without its end."""
    if isinstance(record, Skipped):
        told = {"composite": record.composite, "skipped": SKIPPED, "annotator": record.annotator}
    else:
        told = dict(vars(record))
    return json.dumps(told, ensure_ascii=False)


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Writes a file of records; it is replaced when all of them are on disk.

    Raises:
        OSError: the file cannot be written.
    """
    write_atomically(path, "".join(f"{line_of(record)}\n" for record in records).encode())
