"""The pictures of one of OpenAI's requests, made one after the other by Concord's own."""

import itertools
import secrets
import time
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, replace
from typing import Any

from fastapi import Request, Response

from concord_client.catalogue import PREVIEW, Pipeline
from concord_client.tasks.request import Request as TaskRequest
from facade.access.caller import Caller
from facade.openai import shapes
from facade.problems import Problem
from facade.wire.caller import while_connected
from facade.wire.events import Emit, event_stream
from facade.wire.replies import JOB, MODEL, json_response
from facade.work.memory import Room
from facade.work.requests import Settings
from facade.work.service import Event, Finished, OnEvent, Service, Stepped

SEED = "seed"
"""The setting that makes pictures of one request differ."""


@dataclass(frozen=True)
class Wish:
    """What one request asks for.

    Attributes:
        request: of a task whose answer has the fields ``image`` and ``seed``.
        events: of a stream, on the way and at the end.
        without: fields of the answer that are not wanted.
    """

    form: shapes.PicturesForm
    request: TaskRequest[Any]
    pipeline: Pipeline
    settings: Settings
    events: tuple[type[shapes.Partial], type[shapes.Completed]]
    without: tuple[str, ...] = ()

    def each(self) -> list[Settings]:
        """The settings of every picture; raises a `Problem` where several are asked of a model without a seed."""
        settings = self.settings
        if self.form.stream and self.form.partial_images and PREVIEW in self.pipeline.settings:
            settings = {**settings, PREVIEW.lower(): True}
        return [settings] if self.form.n == 1 else _seeded(settings, self.pipeline, self.form.n)


async def replied(request: Request, stack: AsyncExitStack, service: Service, caller: Caller, wish: Wish) -> Response:
    """The pictures as JSON, or as events where a stream is asked for; the stack is closed when they are sent."""
    settings = wish.each()
    kept = stack.enter_context(ExitStack())
    pictures = Pictures(service, wish, settings, caller, kept.enter_context(service.memory.room(caller.owner)))
    if wish.form.stream:
        headers = {JOB: caller.job or "", MODEL: wish.pipeline.model}
        return await event_stream(request, pictures.produce, stack.pop_all(), headers, shapes.openai_problem)
    async with while_connected(request):
        answer = await pictures.answer()
    return json_response(answer, caller.job or "", kept.pop_all())


@dataclass(frozen=True)
class Pictures:
    """The pictures of one request, made one after the other as one job, each with settings of its own."""

    service: Service
    wish: Wish
    settings: list[Settings]
    caller: Caller
    room: Room

    async def answer(self) -> shapes.ImagesResponse:
        data, size, output_format = [], "", self.wish.form.output_format
        with self.service.jobs.running(self.caller.job, self.caller.owner):
            for settings in self.settings:
                # All at once: with room for some, two requests could wait for each other.
                finished = await self._ask(settings, pictures=len(self.settings))
                picture = await self._encoded(finished)
                size = shapes.size_of(picture)
                data.append(shapes.MadeImage(b64_json=picture, seed=finished.answer.seed))
        self.room.resize(sum(len(each.b64_json) for each in data))
        return shapes.ImagesResponse(created=int(time.time()), data=data, output_format=output_format, size=size)

    async def produce(self, emit: Emit) -> None:
        with self.service.jobs.running(self.caller.job, self.caller.owner):
            for settings in self.settings:
                finished = await self._ask(settings, self._partials(emit))
                picture = await self._encoded(finished)
                self.room.resize(len(picture))
                event = shapes.completed_event(picture, finished.answer.seed, self.wish.form.shape, self.wish.events[1])
                emit(event.type, event)
                del finished, picture, event
                await emit.taken()
                self.room.resize(0)

    async def _ask(self, settings: Settings, on_event: OnEvent | None = None, *, pictures: int = 1) -> Finished[Any]:
        return await self.service.run(
            self.wish.request,
            replace(self.caller, job=None),
            model=self.wish.pipeline.model,
            settings=settings,
            deadline=self.wish.form.timeout,
            without=self.wish.without,
            on_event=on_event,
            room=self.room,
            pictures=pictures,
        )

    def _partials(self, emit: Emit) -> OnEvent:
        """Emits some of the steps of one picture."""
        numbers, sent, form = itertools.count(), set[int](), self.wish.form

        def tell(told: Event) -> None:
            if not isinstance(told, Stepped) or told.preview is None or told.step in sent:
                return
            if told.step in shapes.shown_steps(told.total, form.partial_images):
                sent.add(told.step)
                preview = shapes.recoded(told.preview, form.output_format)
                event = shapes.partial_event(preview, next(numbers), form.shape, self.wish.events[0])
                emit(event.type, event)

        return tell

    async def _encoded(self, finished: Finished[Any]) -> bytes:
        compression = max(1, self.wish.form.output_compression)
        picture_format, encode = self.wish.form.output_format, self.service.encoder.encoded
        with self.service.stages.timed("encode", self.wish.pipeline.model):
            return await encode(finished.answer.image, picture_format, compression, self.caller.owner)


def _seeded(settings: Settings, pipeline: Pipeline, count: int) -> list[Settings]:
    """The settings of several pictures: one seed after the other, from the one that is given or else from any.

    Raises:
        Problem: the model has no seed, so that it makes only one.
    """
    setting = next((each for each in pipeline.settings.values() if each.public_name == SEED), None)
    if setting is None or setting.lowest is None or setting.highest is None:
        allowed = f"1; up to {shapes.MAX_IMAGES} of a model with a {SEED}, see /v1/models"
        problem = f"{pipeline.model} makes the same picture each time"
        raise Problem("invalid_setting", problem, field="n", allowed=allowed)
    lowest, seeds = int(setting.lowest), int(setting.highest) - int(setting.lowest) + 1
    first = int(settings[SEED]) - lowest if SEED in settings else secrets.randbelow(seeds)
    return [{**settings, SEED: lowest + (first + number) % seeds} for number in range(count)]
