"""What the loops have in common that repaint a part of a photograph after a text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from concord.arrays import Floats, Pixels
from concord.finish import Finish
from concord.hole import HoleWindow
from concord.images import DecodedImage, decode_image
from concord.limits import Limits
from concord.loops.host import Host, Sample
from concord.loops.loop import Loop
from concord.loops.ranker import ranks, scores, shown
from concord.loops.request import LoopRequest
from concord.masks import decode_mask
from concord.noise import MAX_SEED, SeededNoise

CANDIDATES = "CANDIDATES"


@dataclass(frozen=True)
class Scene:
    """What is around the part, as the networks see it.

    Attributes:
        picture: uint8 [h, w, 3] RGB.
        part: uint8 [h, w] of 0 and 1.
    """

    picture: Pixels
    part: Pixels


class Editor(Loop):
    """Repaints a window around a part, and puts what lies in the part into the photograph.

    Inputs: IMAGE; MASK, white where the part is; and TEXT. Outputs: EDITED, a PNG; CANDIDATES, the further ones; SCORES
    where they are ranked; TRUNCATED. A part that covers everything is the whole photograph, and one that is empty
    changes nothing.

    Settings: SEED, RESOLUTION where there are several, CANDIDATES, RANK, BLEND and OUTPUT. Parts, where RANK is true:
    those of `concord.loops.ranker`.

    Attributes:
        multiple: of which both sides are that the networks take.
        trained: the side of the squares that they were trained on, in pixels; the least that they are shown.
        noises: of each candidate. The first has the request's seed, each further one the next.
    """

    multiple: ClassVar[int]
    trained: ClassVar[int]

    def __init__(self, request: LoopRequest, host: Host, limits: Limits) -> None:
        super().__init__(request, host, limits)
        count = request.settings[CANDIDATES]
        self.noises = [SeededNoise((self.noise.seed + number) % (MAX_SEED + 1)) for number in range(count)]

    async def answer(self) -> Sample:
        """See `Loop`."""
        settings, finish = self.request.settings, Finish.of(self.request.settings)
        image = await self.host.compute(decode_image, await self.cheap_file("IMAGE"), self.limits)
        size = image.pixels.shape[:2]
        mask = await self.host.compute(decode_mask, await self.cheap_file("MASK"), *size, self.limits)
        told: dict[str, Any] = {"TRUNCATED": await self.read(self.request.inputs["TEXT"])}
        if not mask.any():
            encoded = await self.host.compute(finish.encoded, image.pixels, image.pixels, image.icc_profile)
            return {**told, "EDITED": encoded}
        window = self.window(mask)
        scene = Scene(*await self.host.compute(window.seen, image.pixels, mask))
        drawn = await self.draw(scene)
        if ranks(self.request.models):
            found = await self._scores(scene, drawn)
            order = np.argsort(-found, kind="stable")
            told["SCORES"], drawn = found[order], [drawn[number] for number in order]
        best, *others = [
            await self.host.compute(_edited, image, mask, window, each, finish, settings["BLEND"]) for each in drawn
        ]
        further = {"CANDIDATES": np.array(others, object)} if others else {}
        return {**told, "EDITED": best, **further}

    def window(self, mask: Pixels) -> HoleWindow:
        """What is repainted around a part, uint8 [H, W] of 0 and 255."""
        return HoleWindow.around(mask, self.request.settings["RESOLUTION"], self.multiple, self.trained)

    async def read(self, text: bytes) -> NDArray[np.bool_]:
        """Reads the text before anything is drawn; whether only its beginning is used, bool [1].

        Raises:
            ConcordError: `InvalidText`, or that of a network.
        """
        raise NotImplementedError

    async def draw(self, scene: Scene) -> Sequence[Floats]:
        """The whole window once for each candidate, fp32 [3, h, w], nominally 0..1."""
        raise NotImplementedError

    def view(self, picture: Floats, part: Pixels) -> Floats:
        """What CLIP is shown of what was drawn, to rank it; see `concord.loops.ranker.shown`."""
        return shown(picture, part)

    async def _scores(self, scene: Scene, drawn: Sequence[Floats]) -> Floats:
        """How well what was drawn in the part shows the text, fp32 [n]."""
        views = [await self.host.compute(self.view, each, scene.part) for each in drawn]
        return await scores(self.host, self.request.models, self.request.inputs["TEXT"], views)


def _edited(image: DecodedImage, mask: Pixels, window: HoleWindow, drawn: Floats, finish: Finish, blend: bool) -> bytes:
    edited = window.filled(image.pixels, mask, drawn, blend=blend)
    return finish.encoded(image.pixels, edited, image.icc_profile)
