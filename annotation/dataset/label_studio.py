"""Label Studio's JSON: tasks that are made of records, and records that are made of its export.

A task shows a composite with its mask, offers the expressions as choices, and has a field for another one
(`LABEL_CONFIG`). Its annotations are the records, one for each annotator; one without an answer, or one that was
cancelled, is a composite that was skipped.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from annotation.dataset.brush import run_lengths
from annotation.dataset.composites import below, size_and_mask
from annotation.iharmony4 import Sample
from annotation.record import SKIPPED, Annotation, DatasetError, Record, Source, parse_record

LOCAL_FILES = "/data/local-files/?d="
"""Where Label Studio serves files of its own disk."""
IMAGE, MASK, CHOICES, OWN = "image", "mask", "expressions", "own"
"""Names of the tags of a task, and of its fields."""
LABEL = "foreground"
_KINDS = {"dict": "an object", "list": "a list", "str": "a text"}
LABEL_CONFIG = f"""\
<View>
  <Image name="{IMAGE}" value="${IMAGE}"/>
  <BrushLabels name="{MASK}" toName="{IMAGE}"><Label value="{LABEL}"/></BrushLabels>
  <Choices name="{CHOICES}" toName="{IMAGE}" choice="multiple" value="${CHOICES}"/>
  <TextArea name="{OWN}" toName="{IMAGE}"/>
</View>
"""


def task(sample: Sample, records: Sequence[Record], images: str = LOCAL_FILES) -> dict[str, Any]:
    """The task of a composite.

    Args:
        records: its own.
        images: what stands before the path of the composite below the data set, to be its URL.

    Raises:
        DatasetError: the mask cannot be used.
    """
    annotations = [record for record in records if isinstance(record, Annotation)]
    offered: dict[tuple[str, bool], Annotation] = {}
    for each in annotations:
        offered.setdefault((each.expression, each.source == Source.OWN), each)
    suggestions = [{"expression": each.expression, "iou": each.iou, "source": each.source} for each in offered.values()]
    choices = {
        each.expression: {"value": each.expression} | ({} if each.iou is None else {"hint": f"IoU {each.iou:.2f}"})
        for each in annotations
    }
    (width, height), mask = size_and_mask(sample)
    brush = {
        "id": MASK,
        **_tags(MASK, "brushlabels"),
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "value": {"format": "rle", "rle": run_lengths(mask), "brushlabels": [LABEL]},
    }
    answers: dict[str, list[Annotation]] = {record.annotator: [] for record in records}
    for each in annotations:
        answers[each.annotator].append(each)
    return {
        "data": {
            IMAGE: f"{images}{below(sample)}",
            "composite": sample.name,
            CHOICES: list(choices.values()),
            "suggestions": suggestions,
        },
        "predictions": [{"model_version": MASK, "result": [brush]}],
        "annotations": [
            {"was_cancelled": not chosen, "result": list(_answers(chosen, annotator))}
            for annotator, chosen in answers.items()
        ],
    }


def _answers(annotations: Sequence[Annotation], annotator: str) -> Iterator[dict[str, Any]]:
    """What an annotator chose, and what an annotator wrote."""
    written = [each.expression for each in annotations if each.source == Source.OWN]
    chosen = [each.expression for each in annotations if each.source != Source.OWN]
    note = {"meta": {"text": [annotator]}} if annotator else {}
    if chosen:
        yield {"id": CHOICES, **_tags(CHOICES, "choices"), "value": {"choices": chosen}, **note}
    if written or not chosen:
        yield {"id": OWN, **_tags(OWN, "textarea"), "value": {"text": written}, **note}


def _tags(name: str, kind: str) -> dict[str, str]:
    return {"from_name": name, "to_name": IMAGE, "type": kind}


def read_export(path: Path) -> list[Record]:
    """The records of Label Studio's export in its form "JSON".

    Raises:
        DatasetError: names the line that is no JSON, or the task and the field that are wrong.
        OSError: the file cannot be read.
    """
    try:
        tasks = json.loads(path.read_bytes())
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: no UTF-8 from byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise DatasetError(f"{path}, line {error.lineno}: no JSON: {error.msg}") from error
    except RecursionError as error:
        raise DatasetError(f"{path}: no JSON of a usable depth") from error
    if not isinstance(tasks, list):
        raise DatasetError(f"{path}: expected a list of tasks, as Label Studio's export JSON has it")
    return [
        record for number, told in enumerate(tasks, 1) for record in _Task(f"{path}, task {number}", told).records()
    ]


class _Task:
    """A task of an export, whose fields are read with their places in the errors."""

    def __init__(self, place: str, told: Any) -> None:
        self.place = place
        data = self._get(told, "data", dict)
        self.composite = self._get(data, "composite", str, "data.")
        self.annotations = self._get(told, "annotations", list)
        self.suggestions = [
            (self._get(each, "expression", str, f"data.suggestions[{number}]."), each)
            for number, each in enumerate(self._get({"suggestions": [], **data}, "suggestions", list, "data."))
        ]

    def records(self) -> Iterator[Record]:
        for number, annotation in enumerate(self.annotations):
            field = f"annotations[{number}]."
            result = self._get(annotation, "result", list, field)
            answers = [] if annotation.get("was_cancelled") else list(self._answered(result, field))
            annotator = _annotator(annotation, result)
            for expression, own in answers:
                yield self._record(field, {**self._known(expression, own), "expression": expression}, annotator)
            if not answers:
                yield self._record(field, {"skipped": SKIPPED}, annotator)

    def _answered(self, result: Sequence[Any], field: str) -> Iterator[tuple[str, bool]]:
        """The expressions that were chosen or written, and whether they were written."""
        for number, item in enumerate(result):
            place = f"{field}result[{number}]."
            kind = {"choices": "choices", "textarea": "text"}.get(self._get(item, "type", str, place))
            if kind:
                value = self._get(item, "value", dict, place)
                texts = (
                    [value[kind]]
                    if isinstance(value.get(kind), str)
                    else self._get(value, kind, list, f"{place}value.")
                )
                for text in texts:
                    yield text, kind == "text"

    def _known(self, expression: str, own: bool) -> dict[str, Any]:
        """IoU and source of an expression, where the task has them."""
        fitting = [each for text, each in self.suggestions if text == expression]
        fitting.sort(key=lambda each: (each.get("source") == Source.OWN) != own)
        found = fitting[0] if fitting else {}
        source = Source.OWN if own else found.get("source", Source.OWN)
        return {"iou": found.get("iou"), "source": source}

    def _record(self, field: str, told: Mapping[str, Any], annotator: str) -> Record:
        try:
            return parse_record(json.dumps({"composite": self.composite, "annotator": annotator, **told}))
        except ValueError as error:
            raise DatasetError(f"{self.place}, {field.rstrip('.')}: {error}") from error

    def _get(
        self, told: Any, key: str, kind: type[dict[Any, Any]] | type[list[Any]] | type[str], field: str = ""
    ) -> Any:
        """The value of a key of `told`, of a kind."""
        value = told.get(key) if isinstance(told, dict) else None
        if not isinstance(value, kind):
            shown = "missing" if value is None else json.dumps(value)[:40]
            raise DatasetError(f"{self.place}: {field}{key} is {shown}; expected {_KINDS[kind.__name__]}")
        return value


def _annotator(annotation: Mapping[str, Any], result: Sequence[Any]) -> str:
    """The name that an exported record left in the answers; else the user of Label Studio."""
    for item in result:
        note = item.get("meta") if isinstance(item, dict) else None
        text = note.get("text") if isinstance(note, dict) else None
        if isinstance(text, list) and text and isinstance(text[0], str):
            return text[0]
    user = annotation.get("completed_by")
    if isinstance(user, dict):
        user = user.get("email") or user.get("id")
    return "" if user is None else str(user)
