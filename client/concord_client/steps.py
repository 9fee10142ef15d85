"""How far a request is that is answered step by step, and what the answers of its stream add up to."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TypeAlias

from concord_client.catalogue import PREVIEW, STEP, TOTAL
from concord_client.errors import ServerError
from concord_client.tasks.fields import Tensors


@dataclass(frozen=True)
class Progress:
    """How far a request is: steps done, 0 when the server has begun, and steps in all.

    The preview is a small JPEG of what the picture would be; None where the setting ``preview`` does not ask for it.
    """

    step: int
    total: int
    preview: bytes | None = None


OnStep: TypeAlias = Callable[[Progress], object]
"""Is told of every step; what it raises ends the call."""


class Steps:
    """Receives the answers of one stream; the required tensors tell the last answer from those of the steps."""

    def __init__(self, required: Collection[str], on_step: OnStep | None = None) -> None:
        self._required = frozenset(required)
        self._on_step = on_step
        self._step = -1
        self._last: Tensors | None = None

    @property
    def begun(self) -> bool:
        """Whether a step was reported done; asking again would do it twice."""
        return self._step > 0

    def begin_again(self) -> None:
        """Forgets what was received: the request is made again."""
        self._step, self._last = -1, None

    @property
    def last(self) -> Tensors:
        """The last answer; raises `ServerError` where it has not come."""
        if self._last is None:
            raise ServerError("the server's answers ended before the last")
        return self._last

    def receive(self, answer: Tensors) -> None:
        """Takes the next answer; one without tensors, which only ends a stream, says nothing."""
        if self._required <= answer.keys():
            self._last = answer
        if STEP not in answer or TOTAL not in answer:
            return
        step = int(answer[STEP].item())
        # The last answer comes after the decoder, and repeats the number of the last step.
        if step != self._step:
            self._step = step
            if self._on_step is not None:
                preview = answer[PREVIEW].item() if PREVIEW in answer else b""
                self._on_step(Progress(step, int(answer[TOTAL].item()), preview or None))
