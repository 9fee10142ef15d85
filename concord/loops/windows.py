"""A network that is asked window by window, where the map is larger than what it was trained on, or memory allows."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from concord.loops.host import Host, Sample
from concord.tiles import Tiles


class WindowHost:
    """A request's `Host` that asks for windows of all maps of a size, and blends the answers; the rest is as before.

    Args:
        host: what it asks.
        tiles: the windows of these maps, fp32 [C, H, W].
        most: windows that are asked for in one call.
        told: called with the number of windows behind each call.
    """

    def __init__(self, host: Host, tiles: Tiles, most: int, told: Callable[[int], Awaitable[None]]) -> None:
        self._host, self._tiles, self._most, self._told = host, tiles, most, told
        self.ask, self.compute, self.report = host.ask, host.compute, host.report

    async def ask_together(self, model: str, samples: Sequence[Sample], outputs: Sequence[str]) -> list[Sample]:
        """See `Host`."""
        return [await self._blended(model, sample, outputs) for sample in samples]

    def stepping(self, model: str) -> AbstractContextManager[None]:
        """See `Host`."""
        return self._host.stepping(model)

    async def _blended(self, model: str, sample: Sample, outputs: Sequence[str]) -> Sample:
        cut = {name: self._windows(value) for name, value in sample.items()}
        windows = [dict(zip(cut, values, strict=True)) for values in zip(*cut.values(), strict=True)]
        answers: list[Sample] = []
        for first in range(0, len(windows), self._most):
            asked = windows[first : first + self._most]
            answers += await self._host.ask_together(model, asked, outputs)
            await self._told(len(asked))
        return {
            name: await self._host.compute(self._tiles.blended, [answer[name] for answer in answers])
            for name in outputs
        }

    def _windows(self, value: Any) -> list[Any]:
        """Of a map its windows; of anything else itself for each of them."""
        is_map = value.ndim == 3 and value.shape[1:] == self._tiles.shape
        return self._tiles.windows(value) if is_map else [value] * len(self._tiles)
