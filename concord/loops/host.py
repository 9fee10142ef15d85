"""What a loop needs of the server around it."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

import numpy as np

from concord.arrays import Floats
from concord.errors import NotFinite

Sample = Mapping[str, Any]
"""Tensors of one sample by name, without a batch axis; a STRING [1] tensor is ``bytes``."""

_Value = TypeVar("_Value")


class Host(Protocol):
    """Runs networks and functions for one request, and speaks with its client.

    `ask` and `compute` raise `concord.errors.Cancelled` once the client has cancelled the request.
    """

    async def ask(self, model: str, inputs: Sample, outputs: Sequence[str]) -> Sample:
        """Outputs of a model for one sample; raises ConcordError if the model refused or failed."""

    async def ask_together(self, model: str, samples: Sequence[Sample], outputs: Sequence[str]) -> list[Sample]:
        """As `ask`, for several samples in one call."""

    async def compute(self, function: Callable[..., _Value], *arguments: Any) -> _Value:
        """The function's value, computed in a thread, so that other requests go on."""

    async def report(self, step: int, total: int, preview: bytes) -> None:
        """Tells the client how many of the steps are done; the preview is a JPEG, or empty."""

    def stepping(self, model: str) -> AbstractContextManager[None]:
        """Entered for as long as the request asks a model once a step.

        Requests that step with the same model at the same time ask it at the same time, so that they share its batches.
        """


async def ask_networks(
    host: Host, model: str, samples: Sequence[Sample], outputs: Sequence[str], doing: str
) -> list[Sample]:
    """Outputs of a network, fp32, for several samples in one call.

    Raises:
        NotFinite: one holds NaN or infinity; ``doing`` says in words what the network was asked for.
        ConcordError: as `Host.ask`.
    """
    answers = await host.ask_together(model, samples, outputs)
    if not all(np.isfinite(each).all() for answer in answers for each in answer.values()):
        raise NotFinite(model, f"the network's output is not finite at {doing}")
    return answers


async def ask_network(host: Host, model: str, inputs: Sample, output: str, doing: str) -> Floats:
    """The one output of a network, fp32.

    Raises:
        ConcordError: as `ask_networks`.
    """
    [answer] = await ask_networks(host, model, [inputs], (output,), doing)
    found: Floats = answer[output]
    return found
