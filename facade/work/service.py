"""What the facade does, without HTTP: checks a request, waits for its turn, asks Triton, and tells how it goes."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Self, TypeAlias

import structlog

from concord.errors import ConcordError
from concord_client import AsyncClient, Progress, Retry, tracing
from concord_client.catalogue import Catalogue, Pipeline
from concord_client.errors import ConcordClientError, Lost, ModelNotFound, Unavailable
from concord_client.tasks.request import A, Answer, Request
from facade.access.caller import ANYONE, Allowance, Caller
from facade.access.pictures import Pictures
from facade.problems import Problem, problem_of
from facade.settings import Settings as FacadeSettings
from facade.work.admission import Admission
from facade.work.catalogue import Models, PublicModel, concurrency_of, deadline_of, public_models
from facade.work.jobs import Jobs
from facade.work.memory import Memory, Room
from facade.work.pictures import Encoder, Original
from facade.work.probe import Prober
from facade.work.reader import Reader
from facade.work.requests import Settings, read_settings
from facade.work.stages import Stages

RETRY = Retry(attempts=2, first_delay=0.1)
"""One try more: who is refused is told when to come back. What was lost is asked again until its deadline."""

_log = structlog.get_logger("facade.request")


@dataclass(frozen=True)
class Queued:
    """A place in the queue: 1 for the next to go, 0 when the wait is over."""

    position: int


@dataclass(frozen=True)
class Stepped:
    """How far a request is: steps done, steps in all, and a small JPEG of what there is, where that was asked for."""

    step: int
    total: int
    preview: bytes | None


@dataclass(frozen=True)
class Restarted:
    """A process that had the request has ended, and it is begun again: with its first step, and with the same seed."""


@dataclass(frozen=True)
class Finished(Generic[A]):
    """A request's answer, and the seconds it took by stage: ``queued`` and ``inference``."""

    answer: A
    seconds: dict[str, float]


Event: TypeAlias = Queued | Stepped | Restarted
OnEvent: TypeAlias = Callable[[Event], object]


class Service:
    """Asks one Triton for the routes, the page and the batches; to be used in one event loop.

    Cancelling a task that awaits one of its calls stops a pipeline that streams within a step, and a request that waits
    is never sent. The URL is ``host:port`` of Triton's gRPC; by default the settings say it.
    """

    def __init__(self, settings: FacadeSettings, triton_url: str | None = None) -> None:
        self.settings = settings
        self.everyone = Allowance.of(settings)
        self.pictures = Pictures()
        self.memory = Memory(settings.max_held_bytes)
        self.admission = Admission(settings.queue)
        self.memory.freed = self.admission.look_again
        self.jobs = Jobs()
        self.reader = Reader()
        self.encoder = Encoder()
        self._client = AsyncClient(triton_url or settings.triton_url or f"127.0.0.1:{settings.grpc_port}", retry=RETRY)
        self.models = Models(self._client, self._know)
        self.stages = Stages(lambda model: self.models.profiles.get(model, ""))
        self._probing = AsyncClient(self._client.address.url, retry=Retry(attempts=1))
        self.probe = Prober(self._probing, self.models, self.admission, settings.probe_interval)

    async def run(
        self,
        request: Request[A],
        caller: Caller = ANYONE,
        *,
        model: str | None = None,
        settings: Settings | None = None,
        deadline: float | None = None,
        without: Collection[str] = (),
        on_event: OnEvent | None = None,
        room: Room | None = None,
        pictures: int = 1,
    ) -> Finished[A]:
        """Answers one request.

        Args:
            settings: of the model, as `choose` gives them.
            deadline: seconds, time in the queue included; None for as long as the model may take.
            without: fields of the answer that are not wanted.
            on_event: is told of every place in the queue and every step, in the event loop.
            room: for the answer, which its owner has until the answer is sent; None where that is not for long.
            pictures: how many answers like this one it is for.

        Raises:
            Problem: it is refused, or failed, or was cancelled by its id.
        """
        tell = on_event or (lambda _: None)
        waiting, told = True, False

        def tell_step(progress: Progress) -> None:
            nonlocal told
            told = False
            tell(Stepped(progress.step, progress.total, progress.preview))

        def note_loss(error: Unavailable) -> None:
            nonlocal told
            _log.warning("lost", model=error.model if isinstance(error, Lost) else "", error=type(error).__name__)
            self.probe.doubt()
            if not waiting:
                raise error
            if isinstance(error, Lost) and not told:
                told = True
                tell(Restarted())

        own_room = self.memory.room(caller.owner) if room is None else nullcontext(room)
        traced = tracing.span("answer", headers=caller.headers, attributes={"concord.task": request.TASK})
        with traced, self._problems(), self.jobs.running(caller.job, caller.owner), own_room as room:
            allowance = self.allowance(caller)
            pipeline = await self.models.choose(request, model, allowance)
            seconds = self.deadline(pipeline, deadline)
            sent = request

            async def read() -> int:
                nonlocal sent
                sent, size = await self.reader.checked(request, allowance, caller.owner)
                # While it is received, an answer is there more than once.
                return size * max(2, pictures)

            async def ask(timeout: float) -> A:
                self.models.require(pipeline.model)
                if caller.owner:
                    await self.pictures.count(caller.owner, allowance.pictures)
                try:
                    return await self._client.run(
                        sent,
                        model=pipeline.model,
                        settings=settings,
                        on_step=tell_step if pipeline.streams else None,
                        on_lost=note_loss,
                        without=without,
                        timeout=timeout,
                        headers=tracing.carried(caller.headers),
                    )
                except (ModelNotFound, Unavailable) as error:
                    self.models.require(pipeline.model)
                    if isinstance(error, ModelNotFound):
                        self.models.doubt()
                    raise

            try:
                answer, taken = await self.admission.work(
                    pipeline.model,
                    seconds,
                    ask,
                    before=read,
                    stops=pipeline.streams,
                    timed=partial(self.stages.timed, model=pipeline.model),
                    on_position=lambda place: tell(Queued(place)),
                    holder=caller.owner,
                    room=room,
                )
            finally:
                # What nobody waits for any more is not begun again.
                waiting = False
            self.probe.note_answer()
            return Finished(answer, taken)

    async def choose(
        self, request: Request[A], model: str | None, texts: Mapping[str, str], caller: Caller = ANYONE
    ) -> tuple[Pipeline, Settings]:
        """The pipeline that answers a request, and its settings as they were written.

        Raises:
            Problem: there is no such model, or it does not take what is given, or not these settings; or Triton does
                not answer.
        """
        with self._problems():
            pipeline = await self.models.choose(request, model, self.allowance(caller))
            return pipeline, read_settings(texts, pipeline, self.models.catalogue)

    async def original(self, request: Request[Any], answer: Answer, caller: Caller = ANYONE) -> Original:
        """What layers are made of besides an answer: the request's image, and its mask or the one that was found.

        Raises:
            Problem: an image cannot be read.
        """
        limits, given = self.allowance(caller).limits, vars(request)
        files = {"image": given["image"], "mask": given["mask"] or vars(answer)["mask"]}
        with self._problems():
            photograph, mask = [
                await self.reader.cheap_file(file, limits, field, caller.owner) for field, file in files.items()
            ]
        return Original(photograph, mask)

    async def pipeline(self, name: str, caller: Caller = ANYONE) -> Pipeline:
        """The public pipeline of this name, as it is called on the wire.

        Raises:
            Problem: there is none that the caller may ask, or Triton does not answer.
        """
        with self._problems():
            return await self.models.named(name, self.allowance(caller))

    async def public_models(self, caller: Caller = ANYONE) -> list[PublicModel]:
        """The models that a caller can ask.

        Raises:
            Problem: Triton does not answer.
        """
        with self._problems():
            await self.models.refresh()
            allowance = self.allowance(caller)
            return public_models(self.models.visible(allowance), self.settings, allowance)

    def allowance(self, caller: Caller) -> Allowance:
        return caller.allowance or self.everyone

    def deadline(self, pipeline: Pipeline, wanted: float | None) -> float:
        """Seconds that a request may take; raises a `Problem` where more is wanted than the model may take."""
        longest = deadline_of(pipeline, self.settings)
        if wanted is None:
            return longest
        if not 0 < wanted <= longest:
            allowed = f"more than 0 and at most {longest:g} seconds"
            raise Problem("invalid_setting", f"{wanted:g} s", field="timeout", allowed=allowed)
        return wanted

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Ends the connection to Triton, and what nobody waits for any more."""
        self.admission.close()
        self.reader.close()
        await self._probing.close()
        await self._client.close()

    def _know(self, catalogue: Catalogue) -> None:
        limits = concurrency_of(catalogue, self.settings)
        self.admission.know(limits)
        for model in sorted({*self.settings.concurrency, *self.settings.deadline} - limits.keys()):
            structlog.get_logger("facade.settings").warning("a setting names a model that is not loaded", model=model)

    @contextmanager
    def _problems(self) -> Iterator[None]:
        try:
            yield
        except (ConcordClientError, ConcordError) as error:
            if isinstance(error, Unavailable):
                self.probe.doubt()
            raise problem_of(error) from error
