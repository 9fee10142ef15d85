"""The IoU that a served segmenter reaches with an expression, for annotations that lack it."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm  # type: ignore[import-untyped]

from annotation.confidence import Confidence
from annotation.dataset.patterns import mended
from annotation.iharmony4 import Sample
from annotation.record import Annotation, Record, line_of, parse_record

_AT_ONCE = 4
Key = tuple[str, str]
"""A composite's name, and an expression as cleaning repairs it."""


def measured(
    records: Sequence[Record], samples: Mapping[str, Sample], confidence: Confidence, done: Path
) -> list[Record]:
    """The records, with the IoU of their repaired expressions where they had none and it can be found out.

    An expression that cleaning refuses is not measured, nor one whose composite is not among the samples.

    Args:
        samples: by the composite's name.
        done: where each IoU is kept as it comes, so that a stopped run goes on.

    Raises:
        ConcordClientError: the server does not answer, or has no segmenter.
        OSError: `done` cannot be written.
    """
    wanted = {place: key for place, record in enumerate(records) if (key := _wanted(record)) and key[0] in samples}
    known = {(each.composite, each.expression): each.iou for each in _earlier(done)}
    waiting = [key for key in dict.fromkeys(wanted.values()) if key not in known]
    known |= asyncio.run(_asked(waiting, samples, confidence, done))
    return [
        replace(record, iou=known.get(wanted[place])) if isinstance(record, Annotation) and place in wanted else record
        for place, record in enumerate(records)
    ]


def _wanted(record: Record) -> Key | None:
    """What has to be measured for a record."""
    if not isinstance(record, Annotation) or record.iou is not None:
        return None
    text, refused = mended(record.expression)
    return None if refused else (record.composite, text)


async def _asked(
    waiting: Iterable[Key], samples: Mapping[str, Sample], confidence: Confidence, done: Path
) -> dict[Key, float]:
    """What the server finds; what it cannot be asked is left out."""
    found: dict[Key, float] = {}
    places = asyncio.Semaphore(_AT_ONCE)

    async def ask(key: Key) -> tuple[Key, float | None]:
        async with places:
            return key, await confidence.of(samples[key[0]], key[1])

    tasks = [asyncio.create_task(ask(key)) for key in waiting]
    try:
        with done.open("a", encoding="utf-8") as file:
            for task in tqdm(asyncio.as_completed(tasks), "measuring", len(tasks)):
                key, iou = await task
                if iou is not None:
                    found[key] = iou
                    print(line_of(Annotation(composite=key[0], expression=key[1], iou=iou)), file=file, flush=True)
    finally:
        for pending in tasks:
            pending.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await confidence.close()
    return found


def _earlier(done: Path) -> Iterator[Annotation]:
    """What an earlier run measured; a line that it did not finish is cut off."""
    if not done.exists():
        return
    whole, end, cut = done.read_bytes().rpartition(b"\n")
    if cut:
        with done.open("r+b") as file:
            file.truncate(len(whole) + len(end))
    for line in whole.splitlines():
        record = parse_record(line)
        if isinstance(record, Annotation):
            yield record
