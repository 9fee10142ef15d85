"""What the demonstration shows: one picture of which a part is wrong or missing, and what each model made of it."""

import time
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from concord.arrays import Pixels
from concord.errors import ConcordError
from concord.gates.metrics import foreground_mse, psnr
from concord.masks import intersection_over_union
from concord_client import Client, Harmonized, Inpainted, Pipeline, Request
from demo.pictures import decoded

SEED = 1
"""Of models that draw noise."""


@dataclass(frozen=True)
class Answer:
    """What one model made of a picture, and its numbers; pixels are uint8 [H, W, 3], the mask is [H, W]."""

    model: str
    pixels: Pixels
    mask: Pixels
    fmse: float
    psnr: float
    iou: float
    seconds: float


@dataclass
class Shown:
    """A composite or a picture with a hole, the picture that it was made from, and the answers; as in `Answer`.

    Attributes:
        title: what is out of place or missing, in words.
        is_unseen: whether no demo network was trained on the picture.
    """

    title: str
    is_unseen: bool
    composite: Pixels
    truth: Pixels
    mask: Pixels
    answers: list[Answer] = field(default_factory=list)

    @property
    def fmse(self) -> float:
        """Before anything was done."""
        return foreground_mse(self.composite, self.truth, self.mask)

    def ask(self, client: Client, pipeline: Pipeline, request: Request[Any]) -> None:
        """Has one model mend the picture.

        Raises:
            ConcordError: pixels outside the mask were changed.
            ConcordClientError: the server refused, or failed.
        """
        began = time.perf_counter()
        settings = {"seed": SEED} if "SEED" in pipeline.settings else {}
        answer: Harmonized | Inpainted = client.run(request, model=pipeline.model, settings=settings)
        seconds = time.perf_counter() - began
        found = answer.mask if isinstance(answer, Harmonized) else None
        self.add(pipeline.model, decoded(answer.image), self.mask if found is None else decoded(found), seconds)

    def add(self, model: str, pixels: Pixels, mask: Pixels, seconds: float) -> None:
        """Measures an answer, and keeps it.

        Raises:
            ConcordError: pixels outside the mask were changed.
        """
        if not np.array_equal(pixels[mask == 0], self.composite[mask == 0]):
            raise ConcordError(model, "pixels outside the mask were changed")
        numbers = (foreground_mse(pixels, self.truth, self.mask), psnr(pixels, self.truth))
        overlap = intersection_over_union(mask, self.mask)
        self.answers.append(Answer(model, pixels, mask, *numbers, overlap, seconds))

    def row(self) -> dict[str, Any]:
        """Its numbers, without the pictures."""
        answers = [{k: v for k, v in asdict(each).items() if k not in ("pixels", "mask")} for each in self.answers]
        before = {"fmse_before": self.fmse, "psnr_before": psnr(self.composite, self.truth)}
        return {"title": self.title, "is_unseen": self.is_unseen, **before, "answers": answers}
