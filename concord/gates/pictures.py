"""Held-out pictures, on which nothing was trained or calibrated, and the served pipelines' answers to them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from io import BytesIO
from itertools import count, islice

import numpy as np
from concord_client.pipelines import HARMONIZE, SEGMENT
from numpy.typing import NDArray
from PIL import Image

from concord.images import encode_png
from concord.loops.request import DEFAULT_STEPS, RESOLUTIONS
from concord.masks import encode_mask
from concord.scenes.photographs import HELD_OUT_FROM, PhotoComposite, make_photo_composite
from concord.scenes.scene import Scene, make_scene
from concord_client import Client, Diffusion, ServerError
from concord_client.diffusion import DIFFHARMONY

SIZE = (RESOLUTIONS[0],) * 2  # the published measures are taken at 256 x 256
SEED = 1  # of the diffusion's noise
NETWORKS = {SEGMENT: ("cris",), HARMONIZE: ("dht",), DIFFHARMONY: ("vae_encoder", "unet", "vae_decoder")}
"""What each pipeline that is asked here runs."""

Pixels = NDArray[np.uint8]
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
        wanted = scenes if photographs is None else photographs
        try:
            composites = [make_photo_composite(HELD_OUT_FROM + n, SIZE, "held out") for n in range(wanted)]
        except ModuleNotFoundError:
            composites = []
        return cls(list(islice(_scenes(), scenes)), composites)

    def of(self, pipeline: str) -> dict[str, list[Scene] | list[PhotoComposite]]:
        """The pictures for a pipeline, by kind. Photographs have no text that names the changed part."""
        kinds: dict[str, list[Scene] | list[PhotoComposite]] = {"scenes": self.scenes}
        if pipeline != SEGMENT:
            kinds["photographs"] = self.photographs
        return {kind: items for kind, items in kinds.items() if items}


def _scenes() -> Iterable[Scene]:
    for seed in count(HELD_OUT_FROM):
        try:
            yield make_scene(seed, SIZE)
        except ModuleNotFoundError:
            continue


def ask(client: Client, pipelines: Iterable[str], pictures: HeldOut) -> Answers:
    """The server's answers, one picture after the other, so that no answer depends on what is batched with it.

    Raises:
        ConcordClientError: the server does not answer, or lacks a pipeline.
    """
    answers: dict[str, Mapping[str, list[Pixels]] | ServerError] = {}
    for pipeline in pipelines:
        try:
            answers[pipeline] = {
                kind: [_ASK[pipeline](client, item) for item in items] for kind, items in pictures.of(pipeline).items()
            }
        except ServerError as error:
            answers[pipeline] = error
    return answers


def _segment(client: Client, scene: Scene | PhotoComposite) -> Pixels:
    assert isinstance(scene, Scene)  # photographs come without words
    return _decoded(client.segment(encode_png(scene.composite), scene.expression).mask)


def _harmonize(client: Client, picture: Scene | PhotoComposite) -> Pixels:
    return _decoded(client.harmonize(encode_png(picture.composite), mask=encode_mask(picture.mask)).image)


def _diffuse(client: Client, picture: Scene | PhotoComposite) -> Pixels:
    settings = Diffusion(seed=SEED, steps=DEFAULT_STEPS, resolution=SIZE[0])
    image, mask = encode_png(picture.composite), encode_mask(picture.mask)
    return _decoded(client.harmonize(image, mask=mask, model="diffharmony", diffusion=settings).image)


def _decoded(png: bytes) -> Pixels:
    return np.asarray(Image.open(BytesIO(png)))


_ASK: dict[str, Callable[[Client, Scene | PhotoComposite], Pixels]] = {
    SEGMENT: _segment,
    HARMONIZE: _harmonize,
    DIFFHARMONY: _diffuse,
}
