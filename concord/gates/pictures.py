"""Held-out pictures, on which nothing was trained or calibrated, and the served pipelines' answers to them."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from itertools import count, islice
from pathlib import Path

import numpy as np
from PIL import Image

from concord.arrays import Pixels
from concord.gates.tasks import GATED, LARGE_SCENES, PHOTOGRAPHS, SCENES, GatedTask, Picture, gate_of
from concord.instruments.pipelines import least, of_task
from concord.scenes.photographs import HELD_OUT_FROM, PhotoComposite, make_photo_composite
from concord.scenes.scene import Scene, make_scene
from concord.server.declared import catalogue
from concord_client import Catalogue, Client, Pipeline, ServerError
from concord_client.settings import SettingValue

SIZE = (256, 256)  # at which the published measures are taken
LARGE = (512, 512)  # at which a network's pixels are enlarged, and its patches with them
MOST_LARGE = 16
SEED = 1  # of a diffusion's noise

Answers = Mapping[str, Mapping[str, list[Pixels]] | ServerError]
"""By pipeline and kind of picture, masks [H, W] or pictures [H, W, 3]; or the error that one of them was answered."""


@dataclass(frozen=True)
class HeldOut:
    """Scenes, composites of photographs, and scenes of `LARGE` size."""

    scenes: list[Scene]
    photographs: list[PhotoComposite]
    large_scenes: list[Scene]

    @classmethod
    def draw(cls, scenes: int, photographs: int | None = None) -> "HeldOut":
        """The first scenes and photographs, by default equally many of both, and up to `MOST_LARGE` large scenes.

        Without scikit-image, which contains the photographs, there are none, and scenes in front of a photograph are
        skipped.
        """
        composites: list[PhotoComposite] = []
        with suppress(ModuleNotFoundError):
            for n in range(scenes if photographs is None else photographs):
                composites.append(make_photo_composite(HELD_OUT_FROM + n, SIZE))
        large = islice(held_out_scenes(LARGE), min(scenes, MOST_LARGE))
        return cls(list(islice(held_out_scenes(SIZE), scenes)), composites, list(large))

    def of(self, gate: GatedTask) -> Mapping[str, list[Picture]]:
        """The pictures for a gate, by kind."""
        kinds: dict[str, list[Picture]] = {
            SCENES: [*self.scenes],
            PHOTOGRAPHS: [*self.photographs],
            LARGE_SCENES: [*self.large_scenes],
        }
        return {kind: kinds[kind] for kind in gate.measures if kinds[kind]}


def held_out_scenes(size: tuple[int, int]) -> Iterator[Scene]:
    """Scenes of a height and width that nothing was trained on; without scikit-image, those without a photograph."""
    for seed in count(HELD_OUT_FROM):
        with suppress(ModuleNotFoundError):
            yield make_scene(seed, size)


def gated(repositories: Iterable[Path]) -> dict[str, Pipeline]:
    """The pipelines to ask, by name: one of every model of a task with a gate, if its networks are exported.

    Raises:
        ServerFailure: a configuration cannot be read, or nothing has been exported.
    """
    return {each.name: each for each in judged(catalogue(repositories))}


def judged(served: Catalogue) -> list[Pipeline]:
    """Of every model of a task with a gate, the pipeline that answers in the first way that has one."""
    found: dict[tuple[str, str], Pipeline] = {}
    for gate in GATED:
        for each in of_task(served, gate.task, gate.given):
            found.setdefault((gate.task, each.model), each)
    return list(found.values())


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
                    for kind, each in pictures.of(gate_of(pipeline)).items()
                }
            except ServerError as error:
                answers[pipeline.name] = error
    return answers


def answer(client: Client, pipeline: Pipeline, picture: Picture) -> Pixels:
    """A pipeline's answer to one picture, with the same noise for every picture and the least resolution.

    Raises:
        ConcordClientError: the server does not answer, or lacks the pipeline.
    """
    gate = gate_of(pipeline)
    answered = client.run(gate.request(picture), model=pipeline.model, settings=fixed(pipeline))
    return np.asarray(Image.open(BytesIO(getattr(answered, gate.answer))))


def fixed(pipeline: Pipeline, seed: int = SEED) -> dict[str, SettingValue]:
    """The settings with which pictures are judged: the same noise for every one, and the least resolution."""
    settings: dict[str, SettingValue] = {"seed": seed} if "SEED" in pipeline.settings else {}
    if resolution := pipeline.settings.get("RESOLUTION"):
        settings["resolution"] = int(least(resolution))
    return settings
