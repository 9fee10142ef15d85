"""What the facade does, without HTTP: checks an order, waits for its turn, asks Triton, and tells how it goes."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeAlias, cast

from concord_client.pipelines import SEGMENT

from concord.errors import ConcordError
from concord.loops.request import RESOLUTIONS
from concord_client import AsyncClient, Diffusion, Harmonized, Progress, Retry, Segmented
from concord_client.diffusion import DIFFHARMONY, Harmonizer
from concord_client.errors import ConcordClientError, ModelNotFound, Unavailable
from facade.problems import Problem, problem_of
from facade.settings import Settings
from facade.work.admission import Admission
from facade.work.catalogue import DHT, PublicModel, public_models
from facade.work.jobs import Jobs
from facade.work.pictures import check_picture, tiny_picture
from facade.work.queued_work import MARGIN, Turns

RETRY = Retry(attempts=2, first_delay=0.1)
"""One try more, for a connection that has just broken: who is refused is told when to come back, rather than kept."""

_PROBE_SECONDS = 10.0
_LOOK_SECONDS = 5.0
_LOOK_INTERVAL = 1.0


@dataclass(frozen=True)
class Order:
    """What one photograph is to become.

    Args:
        image: the composite, encoded.
        text: a referring expression that names the part to be harmonized.
        mask: or the part itself: an encoded image of the same size, white (128 and above) where it is.
        model: ``dht`` or ``diffharmony``.
        diffusion: how ``diffharmony`` is to work.
        deadline: seconds, waiting included; None for as long as the settings allow.
        return_mask: whether the mask that is found for a text is wanted too.
    """

    image: bytes
    text: str | None = None
    mask: bytes | None = None
    model: str = DHT
    diffusion: Diffusion | None = None
    deadline: float | None = None
    return_mask: bool = True


@dataclass(frozen=True)
class Queued:
    """A place in the queue: 1 for the next to go, 0 when the wait is over."""

    position: int


@dataclass(frozen=True)
class Stepped:
    """How far a diffusion is: steps done, steps in all, and a small JPEG of what it has, where that was asked for."""

    step: int
    total: int
    preview: bytes | None


@dataclass(frozen=True)
class Finished:
    """An order's answer, and the seconds it took by stage: ``queued`` and ``inference``."""

    answer: Harmonized
    seconds: dict[str, float]


OnEvent: TypeAlias = Callable[[Queued | Stepped], object]


class Service:
    """Asks one Triton for the routes, the page and the batches; to be used in one event loop.

    Cancelling a task that awaits one of its calls stops a diffusion in Triton within a step, and an order that waits
    is never sent.

    Args:
        settings: limits, deadlines and the address.
        triton_url: ``host:port`` of Triton's gRPC, where the settings do not say it.
    """

    def __init__(self, settings: Settings, triton_url: str | None = None) -> None:
        self.settings = settings
        self.admission = Admission(settings.concurrency, settings.queue)
        self.jobs = Jobs()
        self._client = AsyncClient(triton_url or settings.triton_url or f"127.0.0.1:{settings.grpc_port}", retry=RETRY)
        self._loaded: dict[str, PublicModel] = {}
        self._looked = -float("inf")
        self._answered = -float("inf")
        self._turns = Turns(self.admission)
        self._probing: asyncio.Task[bool] | None = None

    async def harmonize(
        self,
        order: Order,
        *,
        job: str | None = None,
        owner: str = "",
        headers: Mapping[str, str] | None = None,
        on_event: OnEvent | None = None,
    ) -> Finished:
        """Answers one order.

        Args:
            order: what is wanted.
            job: the id under which it can be cancelled; None where nobody needs to know it.
            owner: who alone may cancel it.
            headers: sent on to Triton as they are.
            on_event: is told of every place in the queue and every step, in the event loop.

        Raises:
            Problem: it is refused, or failed, or was cancelled by its id.
        """
        diffuses = order.model == DIFFHARMONY
        longest = self.settings.diffusion_deadline if diffuses else self.settings.deadline

        def tell_step(progress: Progress) -> None:
            if on_event is not None:
                on_event(Stepped(progress.step, progress.total, progress.preview))

        def tell_position(position: int) -> None:
            if on_event is not None:
                on_event(Queued(position))

        async def ask(timeout: float) -> Harmonized:
            return await self._client.harmonize(
                order.image,
                text=order.text,
                mask=order.mask,
                model=cast(Harmonizer, order.model),
                diffusion=order.diffusion,
                on_step=tell_step if diffuses else None,
                return_mask=order.return_mask,
                timeout=timeout,
                headers=headers,
            )

        with self._problems(), self.jobs.running(job, owner):
            seconds = _deadline(order.deadline, longest)
            self._check(order)
            await self.model(order.model, "harmonize", "text" if order.mask is None else "mask")
            answer, taken = await self._turns.take(order.model, seconds, ask, stops=diffuses, on_position=tell_position)
            self._answered = time.monotonic()
            return Finished(answer, taken)

    async def segment(
        self,
        image: bytes,
        text: str,
        *,
        job: str | None = None,
        owner: str = "",
        headers: Mapping[str, str] | None = None,
        deadline: float | None = None,
    ) -> Segmented:
        """Finds the part of a photograph that a text names; arguments and errors as for `harmonize`."""

        async def ask(timeout: float) -> Segmented:
            return await self._client.segment(image, text, timeout=timeout, headers=headers)

        with self._problems(), self.jobs.running(job, owner):
            seconds = _deadline(deadline, self.settings.deadline)
            check_picture(image, "image", self.settings)
            await self.model(SEGMENT, "segment", "text")
            answer, _ = await self._turns.take(SEGMENT, seconds, ask)
            self._answered = time.monotonic()
            return answer

    async def models(self) -> list[PublicModel]:
        """The public models that are loaded.

        Raises:
            Problem: Triton does not answer.
        """
        with self._problems():
            await self._look()
        return list(self._loaded.values())

    async def model(self, name: str, task: str, needed: str | None = None) -> PublicModel:
        """A model that is loaded for a task.

        Args:
            name: of the model.
            task: ``harmonize`` or ``segment``.
            needed: an input that it has to take.

        Raises:
            Problem: it is not loaded, or not with that input; or Triton does not answer.
        """
        with self._problems():
            found = self._loaded.get(name)
            if found is None or (needed is not None and not found.takes(needed)):
                await self._look()
        able = {each.name: each for each in self._loaded.values() if each.task == task}
        if name not in able:
            names = ", ".join(able) or "none"
            raise Problem("unknown_model", f"{name[:40]!r} is not loaded", field="model", allowed=names)
        if needed is not None and not able[name].takes(needed):
            allowed = ", ".join(each.name for each in able[name].inputs)
            raise Problem("unknown_model", f"{name} is not loaded for a {needed}", field=needed, allowed=allowed)
        return able[name]

    def cancel(self, job: str, owner: str = "") -> bool:
        """Ends a running job, its work in Triton too; whether there was one of this owner's."""
        return self.jobs.cancel(job, owner)

    async def probe(self, *, now: bool = False) -> bool:
        """Whether inference works: something was answered lately, or a picture of a few pixels is answered now.

        Args:
            now: ask, whatever was answered lately.
        """
        if not now and time.monotonic() - self._answered < self.settings.probe_interval:
            return True
        if self._probing is None or self._probing.done():
            self._probing = self._turns.start(self._infer_tiny())
        await asyncio.wait([self._probing], timeout=_PROBE_SECONDS)
        return self._probing.done() and self._probing.result()

    async def close(self) -> None:
        """Ends the connection to Triton, and what nobody waits for any more."""
        self._turns.close()
        await self._client.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    @contextmanager
    def _problems(self) -> Iterator[None]:
        try:
            yield
        except (ConcordClientError, ConcordError) as error:
            if isinstance(error, ModelNotFound):
                self._loaded.clear()
            if isinstance(error, ModelNotFound | Unavailable):
                self._answered = -float("inf")
            raise problem_of(error) from error

    def _check(self, order: Order) -> None:
        if order.text is None and order.mask is None:
            raise Problem("missing_field", "neither text nor mask is given", field="text", allowed="text or mask")
        if order.text is not None and order.mask is not None:
            raise Problem("invalid_setting", "both text and mask are given", field="mask", allowed="text or mask")
        if order.diffusion is not None and order.model != DIFFHARMONY:
            given = next((name for name, value in vars(order.diffusion).items() if value is not None), "diffusion")
            raise Problem("invalid_setting", f"{order.model} has no steps", field=given, allowed=f"model={DIFFHARMONY}")
        check_picture(order.image, "image", self.settings)
        if order.mask is not None:
            check_picture(order.mask, "mask", self.settings)

    async def _look(self) -> None:
        if self._loaded and time.monotonic() - self._looked < _LOOK_INTERVAL:
            return
        ready = {model.name for model in await self._client.models(timeout=_LOOK_SECONDS) if model.ready}
        self._loaded = {model.name: model for model in public_models(ready, self.settings)}
        self._looked = time.monotonic()

    async def _infer_tiny(self) -> bool:
        image, mask = tiny_picture("RGB"), tiny_picture("L")
        try:
            await self._look()
            model = next((model for model in self._loaded.values() if model.takes("mask")), None)
            if model is None:
                await self._client.segment(image, "the ball", timeout=MARGIN)
            else:
                name = cast(Harmonizer, model.name)
                diffusion = Diffusion(steps=1, resolution=RESOLUTIONS[0]) if name == DIFFHARMONY else None
                await self._client.harmonize(image, mask=mask, model=name, diffusion=diffusion, timeout=MARGIN)
        except (ConcordClientError, Problem):
            return False
        self._answered = time.monotonic()
        return True


def _deadline(wanted: float | None, longest: float) -> float:
    if wanted is None:
        return longest
    if not 0 < wanted <= longest:
        raise Problem(
            "invalid_setting", f"{wanted:g} s", field="timeout", allowed=f"more than 0 and at most {longest:g} seconds"
        )
    return wanted
