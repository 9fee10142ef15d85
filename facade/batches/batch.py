"""Many photographs in one request: some of them at a time, each with an outcome of its own."""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import PurePosixPath
from typing import TypeAlias

import structlog

from concord_client.expressions import Expressions
from concord_client.tasks.harmonize import Harmonize, Harmonized
from concord_client.tasks.request import Request
from facade.access.caller import Caller
from facade.problems import Problem, problem_of
from facade.work.memory import Room
from facade.work.pictures import LAYERED, Format, check_format
from facade.work.requests import Settings, made
from facade.work.service import Finished, OnEvent, Service, Stepped

_MASK = re.compile(r"(?P<photograph>.+)_mask", re.DOTALL)
_WAITED_FOR = frozenset({"busy", "too_busy"})

Read: TypeAlias = Callable[[], bytes]
"""Gives a file's bytes; called in a thread, once. What it raises is the outcome of the photograph."""


@dataclass(frozen=True)
class Photograph:
    """One of a batch, and its mask or a text of its own where it has one."""

    name: str
    image: Read
    mask: Read | None = None
    text: str | None = None


@dataclass(frozen=True)
class Began:
    """The batch is running."""


@dataclass(frozen=True)
class Step:
    index: int
    step: int
    total: int


@dataclass(frozen=True)
class Outcome:
    """What became of a photograph: either an answer, whose picture is as it was asked for, or a problem.

    Attributes:
        room: that the picture takes in memory, until the next event is asked for.
    """

    index: int
    finished: Finished[Harmonized] | None = None
    problem: Problem | None = None
    room: Room | None = None

    @property
    def picture(self) -> bytes:
        assert self.finished is not None
        return self.finished.answer.image


Event: TypeAlias = Began | Step | Outcome


@dataclass(frozen=True)
class Batch:
    """What is asked for all of the photographs.

    Attributes:
        text: for photographs without a mask and a text of their own.
        deadline: seconds for each photograph; None for as long as the model may take.
        patience: seconds for which a photograph waits for a place in the queue.
        within: seconds for the batch as a whole.
        quality: 1 to 100, for formats that lose something.
        lines: what is wrong with lines of its expressions, by their number.
    """

    photographs: list[Photograph]
    model: str
    text: str | None
    settings: Settings
    deadline: float | None
    patience: float
    within: float
    picture_format: Format
    quality: int
    lines: Mapping[int, str] = field(default_factory=dict)


def photographs(files: Iterable[tuple[str, Read]], expressions: Expressions | None = None) -> list[Photograph]:
    """The photographs among files, each with its mask: ``beach_mask.png`` is that of ``beach.jpg`` beside it; and with
    its text among the expressions.

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
    texts = Expressions({}, {}, {}) if expressions is None else expressions
    return [Photograph(name, read, masks.get(_stem(name)), texts.of(name)) for name, read in found]


class Batches:
    """Runs batches beside single requests; those of one key's holder together leave one place of a model that has
    several.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._places: dict[tuple[str, str], asyncio.Semaphore] = {}

    async def run(self, batch: Batch, caller: Caller) -> AsyncGenerator[Event]:
        """Answers a batch: first `Began`, then an `Outcome` for every photograph, in the order in which they end.

        Cancelling the job ends the batch with the outcome ``cancelled`` for what was not done, and the end of its time
        with ``deadline_exceeded``. Closing the iterator stops the batch silently. The batch pauses while outcomes are
        not consumed.

        Raises:
            Problem: in place of `Began`: the id cannot be or is taken.
        """
        workers = max(1, self._service.admission.limits[batch.model] - 1)
        places = self._places.setdefault((batch.model, caller.owner), asyncio.Semaphore(workers))
        run = _Run(self._service, places, batch, caller, min(workers, len(batch.photographs)))
        runner = asyncio.create_task(run.all())
        left = set(range(len(batch.photographs)))
        try:
            while (event := await run.events.get()) is not None:
                yield event
                if isinstance(event, Outcome):
                    left.discard(event.index)
                    run.untaken.release()
                    if event.room is not None:
                        event.room.resize(0)
                del event
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
            run.rooms.close()


@dataclass
class _Run:
    """One batch while it runs: its events, places for outcomes that are not taken yet, and their room in memory."""

    service: Service
    places: asyncio.Semaphore
    batch: Batch
    caller: Caller
    workers: int
    began: bool = False

    def __post_init__(self) -> None:
        self.events: asyncio.Queue[Event | None] = asyncio.Queue()
        self.untaken = asyncio.Semaphore(self.workers + 1)
        self.rooms = ExitStack()
        self._limits = self.service.allowance(self.caller).limits

    async def all(self) -> None:
        """Works through the photographs, and says so when there is nothing more to come."""
        try:
            async with asyncio.timeout(self.batch.within):
                with self.service.jobs.running(self.caller.job, self.caller.owner):
                    self.began = True
                    self.events.put_nowait(Began())
                    todo = iter(enumerate(self.batch.photographs))
                    async with asyncio.TaskGroup() as group:
                        for _ in range(self.workers):
                            group.create_task(self._work(todo))
        except TimeoutError:
            words = f"the batch as a whole was not done within {self.batch.within:g} s"
            raise Problem("deadline_exceeded", words) from None
        finally:
            self.events.put_nowait(None)

    async def _work(self, todo: Iterator[tuple[int, Photograph]]) -> None:
        for index, photograph in todo:
            await self.untaken.acquire()
            self.events.put_nowait(await self._outcome(index, photograph))

    async def _outcome(self, index: int, photograph: Photograph) -> Outcome:
        memory, holder = self.service.memory, self.caller.owner
        room = self.rooms.enter_context(memory.room(holder))
        try:
            # What is unpacked is there only while it has a place.
            async with self.places:
                image = await asyncio.to_thread(photograph.image)
                mask = None if photograph.mask is None else await asyncio.to_thread(photograph.mask)
                with memory.counted(holder, len(image) + len(mask or b"")):
                    size = await self.service.reader.size(image, self._limits, "image")
                    check_format(size, self.batch.picture_format)
                    text = self.batch.text if photograph.text is None else photograph.text
                    request = made(Harmonize, {"image": image, "text": text if mask is None else None, "mask": mask})
                    finished = await self._harmonize(request, partial(self._tell, index), room)
                    original = None
                    if self.batch.picture_format == LAYERED:
                        original = await self.service.original(request, finished.answer, self.caller)
            encode, quality = self.service.encoder.encoded, self.batch.quality
            with self.service.stages.timed("encode", self.batch.model):
                picture = await encode(finished.answer.image, self.batch.picture_format, quality, holder, original)
            room.resize(len(picture))
            return Outcome(index, replace(finished, answer=replace(finished.answer, image=picture)), room=room)
        except Exception as error:
            room.resize(0)
            problem = problem_of(error)
            if problem.code == "internal":
                structlog.get_logger().error("failed", exc_info=error)
            return Outcome(index, problem=problem)

    async def _harmonize(self, request: Request[Harmonized], tell: OnEvent, room: Room) -> Finished[Harmonized]:
        """Asks until there is a place: it is others who filled the queue, and the batch can wait."""
        batch, caller = self.batch, replace(self.caller, job=None)
        until = time.monotonic() + batch.patience
        while True:
            try:
                return await self.service.run(
                    request,
                    caller,
                    model=batch.model,
                    settings=batch.settings,
                    deadline=batch.deadline,
                    without=() if batch.picture_format == LAYERED else ("mask",),
                    on_event=tell,
                    room=room,
                )
            except Problem as problem:
                wait = problem.retry_after or 1.0
                if problem.code not in _WAITED_FOR or time.monotonic() + wait > until:
                    raise
            await asyncio.sleep(wait)

    def _tell(self, index: int, event: object) -> None:
        if isinstance(event, Stepped):
            self.events.put_nowait(Step(index, event.step, event.total))


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix("")) if PurePosixPath(name).name else name
