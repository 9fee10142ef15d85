"""What a call may want done by its client: `concord_client.calls` yields these, and is sent what each answers."""

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from concord_client.catalogue import DEFAULT_DEADLINE
from concord_client.inference import Inference
from concord_client.repository import Model
from concord_client.tasks.fields import Encoded, Tensors


class Deadline:
    """The time that a call has, from now on.

    Args:
        given: seconds in all; None for `DEFAULT_DEADLINE`, or what `declare` says.
    """

    def __init__(self, given: float | None) -> None:
        self.seconds = DEFAULT_DEADLINE if given is None else given
        self._given = given
        self._begun = time.monotonic()

    def declare(self, seconds: float) -> None:
        """Says what a pipeline declares, which counts where no time was given."""
        if self._given is None:
            self.seconds = seconds

    @property
    def left(self) -> float:
        """Seconds, 0 when it is over."""
        return max(self._begun + self.seconds - time.monotonic(), 0.0)


@dataclass(frozen=True)
class Infer:
    """Asks once; answers `Tensors`."""

    inference: Inference
    deadline: Deadline


@dataclass(frozen=True)
class InferSteps:
    """Asks once, and hands every answer of the stream to ``receive``; answers None."""

    inference: Inference
    deadline: Deadline
    receive: Callable[[Tensors], None]


@dataclass(frozen=True)
class Ready:
    """Answers whether the server and its models are ready."""

    deadline: Deadline


@dataclass(frozen=True)
class Index:
    """Answers the models of the repository, without their tensors."""

    deadline: Deadline


@dataclass(frozen=True)
class Describe:
    """Answers the models with their tensors."""

    models: tuple[Model, ...]
    deadline: Deadline


@dataclass(frozen=True)
class Configure:
    """Answers the configurations of models, in Triton's JSON form."""

    models: tuple[str, ...]
    deadline: Deadline


@dataclass(frozen=True)
class Read:
    """Answers the bytes of an encoded image."""

    source: Encoded


@dataclass(frozen=True)
class Sleep:
    """Waits for some seconds; answers None."""

    seconds: float


Operation: TypeAlias = Infer | InferSteps | Ready | Index | Describe | Configure | Read | Sleep

T = TypeVar("T")
Call: TypeAlias = Generator[Operation, Any, T]
"""A call that ends with a ``T``."""
