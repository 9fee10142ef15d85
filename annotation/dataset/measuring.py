"""The IoU that a served segmenter reaches with an expression, for annotations that lack it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache, partial
from itertools import groupby
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from annotation.dataset.patterns import mended
from annotation.iharmony4 import Sample
from annotation.record import Annotation, DatasetError, Record, line_of, parse_record
from annotation.scored import iou, resized
from concord.arrays import Pixels
from concord.masks import binary
from concord.png import encode_png
from concord_client import Client, InvalidInput, Segment

Segmenter = Callable[[bytes, str], bytes]
"""From an encoded picture and a text to the mask that was found, a PNG."""


def segmenter(client: Client, model: str | None) -> Segmenter:
    """A served one; None for the server's first."""

    def found(picture: bytes, text: str) -> bytes:
        return client.run(Segment(picture, text), model=model).mask

    return found


def measured(
    records: Iterable[Record], samples: Mapping[str, Sample], find: Segmenter, done: Path
) -> Iterator[tuple[Record, str]]:
    """Each record, with the IoU of its repaired expression at the size of the published scores, and why there is none.

    An expression that cleaning refuses is not measured.

    Args:
        samples: by the composite's name.
        done: where measured records are kept as they come, so that a stopped run goes on.
    """
    known = {(each.composite, each.expression): each.iou for each in _earlier(done)}
    with done.open("a", encoding="utf-8") as file:
        for composite, group in groupby(records, key=lambda record: record.composite):
            picture = cache(partial(_read, samples, composite))
            for record in group:
                text, refused = mended(record.expression) if isinstance(record, Annotation) else ("", "skipped")
                if refused or not isinstance(record, Annotation) or record.iou is not None:
                    yield record, ""
                    continue
                try:
                    if (composite, text) not in known:
                        encoded, mask = picture()
                        known[composite, text] = iou(find(encoded, text), mask)
                        found = replace(record, expression=text, iou=known[composite, text])
                        print(line_of(found), file=file, flush=True)
                    yield replace(record, iou=known[composite, text]), ""
                except (DatasetError, InvalidInput, UnidentifiedImageError, FileNotFoundError) as error:
                    yield record, " ".join(str(error).split())


def _read(samples: Mapping[str, Sample], composite: str) -> tuple[bytes, Pixels]:
    """The encoded composite and the true mask, at the size of the published scores."""
    if composite not in samples:
        raise DatasetError("not among the composites")
    sample = samples[composite]
    picture = resized(np.asarray(Image.open(sample.composite).convert("RGB")))
    mask = resized(binary(np.asarray(Image.open(sample.mask).convert("L"))), Image.Resampling.NEAREST)
    if not mask.any():
        raise DatasetError("the mask is empty")
    return encode_png(picture), mask


def _earlier(done: Path) -> Iterator[Annotation]:
    """What an earlier run measured, without a line that was not finished; it is cut off."""
    if not done.exists():
        return
    whole, _, cut = done.read_bytes().rpartition(b"\n")
    if cut:
        with done.open("r+b") as file:
            file.truncate(len(whole) + bool(whole))
    for line in whole.splitlines():
        record = parse_record(line)
        if isinstance(record, Annotation):
            yield record
