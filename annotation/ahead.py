"""Work that is done before anybody asks: suggestions for the next samples, and the confidence in each."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import structlog

from annotation.captioner.captioner import Captioner, Failure
from annotation.captioner.captioner import expressions as captions
from annotation.confidence import Confidence
from annotation.iharmony4 import Sample
from annotation.ledger import expressions, samples
from annotation.ledger.tables import MOST_PATH, MOST_TROUBLE, SampleRow, Trouble
from annotation.picture import Picture
from annotation.record import Source
from annotation.rules import expressions as by_rule
from annotation.traits import Traits
from concord.errors import ConcordError
from concord_client.errors import ConcordClientError, ModelNotFound
from facade.problems import Problem
from facade.store.store import Store

_AT_ONCE = 4
"""Expressions, and samples that captioners are asked for. Rules alone take the processor, which the page needs, too."""
_LOOK_SECONDS = 5.0
"""How long a loop without work, or one whose server is away, waits before it looks again."""


@dataclass
class Ahead:
    """Two loops, of bounded work each; what they have done is in the ledger, so that a new start goes on from there.

    Attributes:
        wanted: annotators of each sample.
        lead: how many samples ahead of the first one that lacks an answer.
        trouble: why there is no confidence now, in words; empty if there is, or none is wanted.
    """

    store: Store
    dataset: Mapping[str, Sample]
    captioners: Sequence[Captioner] = ()
    confidence: Confidence | None = None
    wanted: int = 1
    lead: int = 1000
    trouble: str = ""
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Works for as long as the block runs."""
        loops = [self._loop(self._suggest)]
        if self.confidence is not None:
            loops.append(self._loop(self._measure))
        tasks = [asyncio.create_task(each) for each in loops]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for each in self.captioners:
                await each.close()
            if self.confidence is not None:
                await self.confidence.close()

    def wake(self) -> None:
        """There may be something to do."""
        self._news.set()

    async def sketch(self, row: SampleRow) -> None:
        """Has what needs no other program made at once, since somebody waits: outline and suggestions by rule.

        Raises:
            Problem: `not_found`: the composite cannot be shown.
        """
        picture = await self._picture(row)
        if picture is None:
            raise Problem("not_found", "the composite cannot be shown")
        await self._keep(row, picture, [])

    async def _loop(self, work: Callable[[], Awaitable[bool]]) -> None:
        while True:
            try:
                if await work():
                    continue
            except Problem:
                pass  # of the store, which has said it in the log
            except Exception:
                structlog.get_logger("annotation.ahead").exception("work ahead has failed")
            self._news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._news.wait()

    async def _suggest(self) -> bool:
        """Prepares some samples; whether there were any."""
        async with self.store.reading() as session:
            rows = await samples.unprepared(session, self.wanted, self.lead, _AT_ONCE if self.captioners else 1)
        await _each(self._prepare(row) for row in rows)
        return bool(rows)

    async def _prepare(self, row: SampleRow) -> None:
        picture = await self._picture(row)
        if picture is None:
            return
        answers = await asyncio.gather(*(captions(each, picture) for each in self.captioners))
        failures = [failure for _, some in answers for failure in some]
        await self._keep(row, picture, [each for found, _ in answers for each in found])
        async with self.store.begin() as session:
            await samples.mark_prepared(session, row.id, [_trouble(row, each) for each in failures])
        self.wake()

    async def _picture(self, row: SampleRow) -> Picture | None:
        """None if it cannot be shown, which is noted."""
        try:
            return await asyncio.to_thread(Picture.read, self.dataset[row.composite])
        except (ConcordError, OSError) as error:
            words = str(error) if isinstance(error, ConcordError) else f"a file cannot be read: {error.strerror}"
            async with self.store.begin() as session:
                await samples.set_aside(session, row.id, words)
            return None

    async def _keep(self, row: SampleRow, picture: Picture, found: Sequence[str]) -> None:
        path, ruled = await asyncio.to_thread(lambda: (picture.path, by_rule(Traits.of(picture))))
        async with self.store.begin() as session:
            await samples.keep_outline(session, row.id, path, picture.width, picture.height)
            await expressions.add(session, row.id, Source.CAPTIONER, found)
            await expressions.add(session, row.id, Source.RULES, ruled)

    async def _measure(self) -> bool:
        """Asks the segmenter for some expressions; whether there were any, and it answered."""
        async with self.store.reading() as session:
            rows = await expressions.untried(session, _AT_ONCE)
        rows = [(expression, composite) for expression, composite in rows if composite in self.dataset]
        try:
            await _each(self._measure_one(each.id, self.dataset[name], each.words) for each, name in rows)
        except ConcordClientError as error:
            self.trouble = str(error) if isinstance(error, ModelNotFound) else "the server does not answer"
            return False
        self.trouble = ""
        return bool(rows)

    async def _measure_one(self, number: int, sample: Sample, words: str) -> None:
        assert self.confidence is not None
        reached = await self.confidence.of(sample, words)
        async with self.store.begin() as session:
            await expressions.keep_iou(session, number, reached)


async def _each(work: Iterable[Awaitable[None]]) -> None:
    """All of it at once; raises the first error when all have ended."""
    for outcome in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


def _trouble(row: SampleRow, failure: Failure) -> Trouble:
    return Trouble(
        sample_id=row.id,
        source=failure.source[:MOST_PATH],
        code=failure.trouble.code,
        words=failure.trouble.words[:MOST_TROUBLE],
    )
