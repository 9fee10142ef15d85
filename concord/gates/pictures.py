"""Held-out pictures, on which nothing was trained or calibrated, and the served pipelines' answers to them."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from itertools import count, islice
from pathlib import Path

import numpy as np
from PIL import Image

from concord.arrays import Pixels
from concord.gates.tasks import GATED, Picture
from concord.instruments.pipelines import least, of_task
from concord.scenes.photographs import HELD_OUT_FROM, PhotoComposite, make_photo_composite
from concord.scenes.scene import Scene, make_scene
from concord.server.declared import catalogue
from concord_client import Client, Pipeline, ServerError
from concord_client.settings import SettingValue

SIZE = (256, 256)  # at which the published measures are taken
SEED = 1  # of a diffusion's noise

Answers = Mapping[str, Mapping[str, list[Pixels]] | ServerError]
"""By pipeline and kind of picture, masks [H, W] or pictures [H, W, 3]; or the error that one of them was answered."""


@dataclass(frozen=True)
class HeldOut:
    """Scenes and composites of photographs."""

    scenes: list[Scene]
    photographs: list[PhotoComposite]

    @classmethod
    def draw(cls, scenes: int, photographs: int | None = None) -> "HeldOut":
        """The first scenes and photographs, by default equally many of both.

        Without scikit-image, which contains the photographs, there are none, and scenes in front of a photograph are
        skipped.
        """
        composites: list[PhotoComposite] = []
        with suppress(ModuleNotFoundError):
            for n in range(scenes if photographs is None else photographs):
                composites.append(make_photo_composite(HELD_OUT_FROM + n, SIZE))
        return cls(list(islice(_scenes(), scenes)), composites)

    def of(self, task: str) -> Mapping[str, list[Picture]]:
        """The pictures for a task, by kind."""
        kinds: dict[str, list[Picture]] = {"scenes": [*self.scenes]}
        if not GATED[task].words:
            kinds["photographs"] = [*self.photographs]
        return {kind: pictures for kind, pictures in kinds.items() if pictures}


def _scenes() -> Iterable[Scene]:
    for seed in count(HELD_OUT_FROM):
        with suppress(ModuleNotFoundError):
            yield make_scene(seed, SIZE)


def gated(repositories: Iterable[Path]) -> dict[str, Pipeline]:
    """The pipelines to ask, by name: those of every model of a task with a gate, if their networks are exported.

    Raises:
        ServerFailure: a configuration cannot be read, or nothing has been exported.
    """
    served = catalogue(repositories)
    return {each.name: each for task, gate in GATED.items() for each in of_task(served, task, gate.given)}


def answered(url: str, pipelines: Iterable[Pipeline], pictures: HeldOut) -> Answers:
    """A server's answers, one picture after the other, so that no answer depends on what is batched with it.

    Raises:
        ConcordClientError: the server does not answer, or lacks a pipeline.
    """
    answers: dict[str, Mapping[str, list[Pixels]] | ServerError] = {}
    with Client(url) as client:
        for pipeline in pipelines:
            try:
                answers[pipeline.name] = {
                    kind: [answer(client, pipeline, picture) for picture in each]
                    for kind, each in pictures.of(pipeline.task).items()
                }
            except ServerError as error:
                answers[pipeline.name] = error
    return answers


def answer(client: Client, pipeline: Pipeline, picture: Picture) -> Pixels:
    """A pipeline's answer to one picture, with the same noise for every picture and the least resolution.

    Raises:
        ConcordClientError: the server does not answer, or lacks the pipeline.
    """
    task = GATED[pipeline.task]
    fixed: dict[str, SettingValue] = {"seed": SEED} if "SEED" in pipeline.settings else {}
    if resolution := pipeline.settings.get("RESOLUTION"):
        fixed["resolution"] = int(least(resolution))
    answered = client.run(task.request(picture), model=pipeline.model, settings=fixed)
    return np.asarray(Image.open(BytesIO(getattr(answered, task.answer))))
