"""What every loop has: a deadline, progress and a seed."""

import asyncio
from typing import ClassVar

import numpy as np

from concord.errors import DeadlineExceeded
from concord.images import cheap_file
from concord.limits import Limits
from concord.loops.host import Host, Sample
from concord.loops.request import LoopRequest
from concord.noise import SeededNoise
from concord_client.catalogue import SEED

STEPS = "STEPS"


class Loop:
    """One request on its way through its networks; a subclass says how it is answered.

    The networks run elsewhere: the loop asks its `Host` for them, so that requests that run side by side share their
    batches.

    Attributes:
        noise: draw 0 starts, draw ``i`` is of the ``i``-th call of a network.
        steps: how many the request takes, as its client counts them; a loop may find out before it reports the first.
        faster: settings that make a request faster, in words; for the error when its time is up.

    Raises:
        ConcordError: the inputs cannot be used together.
    """

    faster: ClassVar[str] = ""

    def __init__(self, request: LoopRequest, host: Host, limits: Limits) -> None:
        self.request = request
        self.host = host
        self.limits = limits
        self.noise = SeededNoise(request.settings.get(SEED) or 0)
        self.steps: int = request.settings.get(STEPS) or 1
        self._done = 0

    async def run(self) -> Sample:
        """The outputs of `answer` by name, and SEED, int64 [1], where the pipeline has that setting.

        Raises:
            ConcordError: `DeadlineExceeded`, `Cancelled`, `NotFinite`, or that of a bad input or a network.
        """
        request = self.request
        try:
            async with asyncio.timeout(request.timeout) as deadline:
                answer = await self.answer()
        except TimeoutError:
            if not deadline.expired():
                raise
            progress = f", after {self._done} of {self.steps} steps" if STEPS in request.settings else ""
            problem = f"not answered within {request.timeout:g} s{progress}"
            allowed = f"a longer TIMEOUT{', ' if self.faster else ''}{self.faster}"
            raise DeadlineExceeded("TIMEOUT", problem, allowed) from None
        return {**answer, SEED: np.array([self.noise.seed], np.int64)} if SEED in request.settings else answer

    async def answer(self) -> Sample:
        """The outputs by name, STEP, TOTAL, PREVIEW and SEED not among them."""
        raise NotImplementedError

    async def cheap_file(self, name: str) -> bytes:
        """The image file that was given as an input, or one of the same picture that takes no thread long to decode.

        Raises:
            ConcordError: as `concord.images.decode_image`.
        """
        return await asyncio.to_thread(cheap_file, self.request.inputs[name], self.limits, name)

    async def report(self, step: int, preview: bytes = b"") -> None:
        """Tells the client how many steps are done; the preview is a JPEG, or empty."""
        self._done = step
        await self.host.report(step, self.steps, preview)
