"""Many photographs in one request: some of them at a time, each with an outcome of its own."""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePosixPath
from typing import TypeAlias

import structlog

from concord_client.diffusion import DIFFHARMONY
from facade.problems import Problem, problem_of
from facade.wire.replies import encoded_picture
from facade.work.pictures import DEFAULT_QUALITY, Format, check_format, check_picture
from facade.work.service import Finished, Order, Queued, Service, Stepped

_MASK = re.compile(r"(?P<photograph>.+)_mask", re.DOTALL)
_WAITED_FOR = frozenset({"busy", "too_busy"})

Read: TypeAlias = Callable[[], bytes]
"""Gives a file's bytes; called in a thread, once. What it raises is the outcome of the photograph."""


@dataclass(frozen=True)
class Photograph:
    """One of a batch, and its mask where it has one."""

    name: str
    image: Read
    mask: Read | None = None


@dataclass(frozen=True)
class Began:
    """The batch is running."""


@dataclass(frozen=True)
class Step:
    """How far a photograph's diffusion is."""

    index: int
    step: int
    total: int


@dataclass(frozen=True)
class Outcome:
    """What became of a photograph: either an answer, with the picture as it was asked for, or a problem."""

    index: int
    finished: Finished | None = None
    picture: bytes = b""
    problem: Problem | None = None


Event: TypeAlias = Began | Step | Outcome


@dataclass(frozen=True)
class Batch:
    """What is asked for all of the photographs.

    Args:
        photographs: in the order of the answer.
        order: the model and its settings, and the text for photographs without a mask; its image counts for nothing.
        picture_format: of the pictures that come back.
        quality: 1 to 100, for formats that lose something.
    """

    photographs: list[Photograph]
    order: Order
    picture_format: Format = "png"
    quality: int = DEFAULT_QUALITY


def photographs(files: Iterable[tuple[str, Read]]) -> list[Photograph]:
    """The photographs among files, each with its mask: ``beach_mask.png`` is that of ``beach.jpg`` beside it.

    A file whose name ends like a mask's is a photograph where there is none that it could belong to.
    """
    named = list(files)
    stems = {_stem(name) for name, _ in named}
    masks: dict[str, Read] = {}
    found = []
    for name, read in named:
        match = _MASK.fullmatch(_stem(name))
        if match and match["photograph"] in stems:
            masks[match["photograph"]] = read
        else:
            found.append((name, read))
    return [Photograph(name, read, masks.get(_stem(name))) for name, read in found]


class Batches:
    """Runs batches beside single requests: to those, all batches together leave one place of a model that has several.

    Args:
        service: what is asked, photograph by photograph.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        limits = service.settings.concurrency
        self._places = {model: asyncio.Semaphore(max(1, limit - 1)) for model, limit in limits.items()}

    async def run(
        self, batch: Batch, *, job: str | None = None, owner: str = "", headers: Mapping[str, str] | None = None
    ) -> AsyncGenerator[Event]:
        """Answers a batch: first `Began`, then an `Outcome` for every photograph, in the order in which they end.

        Cancelling the job ends the batch with the outcome ``cancelled`` for what was not done; leaving the iterator
        (`aclose`) ends it without. Outcomes that nobody takes hold further photographs up.

        Args:
            batch: what is wanted.
            job: the id under which it can be cancelled; None for a new one.
            owner: who alone may cancel it.
            headers: sent on to Triton as they are.

        Raises:
            Problem: in place of `Began`: the id cannot be or is taken.
        """
        run = _Run(self._service, self._places[batch.order.model], batch, headers)
        runner = asyncio.create_task(run.all(job, owner))
        left = set(range(len(batch.photographs)))
        try:
            while (event := await run.events.get()) is not None:
                yield event
                if isinstance(event, Outcome):
                    left.discard(event.index)
                    run.room.release()
            await asyncio.wait([runner])
            problem = Problem("cancelled", "the batch ended") if runner.cancelled() else runner.exception()
            if problem is not None and not run.began:
                raise problem
            for index in sorted(left):
                assert problem is not None
                yield Outcome(index, problem=problem_of(problem))
        finally:
            runner.cancel()
            await asyncio.wait([runner])


class _Run:
    """One batch while it runs: its events, and room for outcomes that are not taken yet."""

    def __init__(
        self, service: Service, places: asyncio.Semaphore, batch: Batch, headers: Mapping[str, str] | None
    ) -> None:
        self.events: asyncio.Queue[Event | None] = asyncio.Queue()
        limit = service.settings.concurrency[batch.order.model]
        self._workers = min(max(1, limit - 1), len(batch.photographs))
        self.room = asyncio.Semaphore(self._workers + 1)
        self.began = False
        self._service = service
        self._places = places
        self._batch = batch
        self._headers = headers
        diffuses = batch.order.model == DIFFHARMONY
        self._patience = service.settings.diffusion_deadline if diffuses else service.settings.deadline

    async def all(self, job: str | None, owner: str) -> None:
        """Works through the photographs, and says so when there is nothing more to come."""
        try:
            with self._service.jobs.running(job, owner):
                self.began = True
                self.events.put_nowait(Began())
                todo = iter(enumerate(self._batch.photographs))
                async with asyncio.TaskGroup() as group:
                    for _ in range(self._workers):
                        group.create_task(self._work(todo))
        finally:
            self.events.put_nowait(None)

    async def _work(self, todo: Iterator[tuple[int, Photograph]]) -> None:
        for index, photograph in todo:
            await self.room.acquire()
            self.events.put_nowait(await self._outcome(index, photograph))

    async def _outcome(self, index: int, photograph: Photograph) -> Outcome:
        try:
            image = await asyncio.to_thread(photograph.image)
            check_format(check_picture(image, "image", self._service.settings), self._batch.picture_format)
            order = replace(self._batch.order, image=image)
            if photograph.mask is not None:
                order = replace(order, text=None, mask=await asyncio.to_thread(photograph.mask))
            async with self._places:
                finished = await self._harmonize(order, partial(self._tell, index))
            picture = await encoded_picture(finished.answer, self._batch.picture_format, self._batch.quality)
            return Outcome(index, finished, picture)
        except Exception as error:
            problem = problem_of(error)
            if problem.code == "internal":
                structlog.get_logger().error("failed", exc_info=error)
            return Outcome(index, problem=problem)

    async def _harmonize(self, order: Order, tell: Callable[[Queued | Stepped], None]) -> Finished:
        """Asks until there is a place: it is others who filled the queue, and the batch can wait."""
        until = time.monotonic() + self._patience
        while True:
            try:
                return await self._service.harmonize(order, headers=self._headers, on_event=tell)
            except Problem as problem:
                wait = problem.retry_after or 1.0
                if problem.code not in _WAITED_FOR or time.monotonic() + wait > until:
                    raise
            await asyncio.sleep(wait)

    def _tell(self, index: int, event: Queued | Stepped) -> None:
        if isinstance(event, Stepped):
            self.events.put_nowait(Step(index, event.step, event.total))


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix("")) if PurePosixPath(name).name else name
