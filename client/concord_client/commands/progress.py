"""A progress bar on stderr of the steps of diffusions; there is none where stderr is no terminal."""

from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm  # type: ignore[import-untyped]

from concord_client.steps import OnStep, Progress


class StepBar:
    """Counts the steps of any number of diffusions; it appears with the first of them."""

    def __init__(self) -> None:
        self._bar: tqdm | None = None

    @contextmanager
    def following(self) -> Iterator[OnStep]:
        """Counts one diffusion: the block hands what it gets to the client as ``on_step``.

        Steps that were never done, because it failed, are taken back at the end.
        """
        followed = Progress(step=0, total=0)

        def follow(progress: Progress) -> None:
            nonlocal followed
            self._add(progress.step - followed.step, progress.total - followed.total)
            followed = progress

        try:
            yield follow
        finally:
            self._add(0, followed.step - followed.total)

    def close(self) -> None:
        """Ends the bar."""
        if self._bar is not None:
            self._bar.close()

    def _add(self, steps: int, total: int) -> None:
        if steps == total == 0:
            return
        if self._bar is None:
            self._bar = tqdm(total=total, unit="step", disable=None)
        elif total:
            self._bar.total += total
            self._bar.refresh()
        self._bar.update(steps)
