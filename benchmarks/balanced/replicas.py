"""Concords that are alike: each a facade and its Triton in processes of their own, with a model that only sleeps."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

from benchmarks.balanced.network import Host
from benchmarks.drills.service import Service
from benchmarks.load.identity_model import write_instant

MODEL = "sleeping"
_AT_A_TIME = ("--no-page", "--concurrency", f"{MODEL}=1", "--probe-interval", "5")


class Replica(Service):
    """One Concord, whose model answers one request at a time and sleeps for each; on a host of its own if it has one.

    Args:
        folder: of its own, for its model and its log.
    """

    def __init__(self, folder: Path, seconds: float, host: Host | None = None, flags: Sequence[str] = ()) -> None:
        self._pace = folder / "seconds"
        self.paced(seconds)
        models = folder / "models"
        write_instant(models, MODEL)
        model = models / MODEL / "1" / "model.py"
        asleep, paced = "time.sleep(0)", f"time.sleep(float(open({str(self._pace)!r}).read()))"
        text = model.read_text()
        assert asleep in text
        model.write_text(text.replace(asleep, paced))
        flags = (*_AT_A_TIME, "--model-repository", str(models), *flags)
        if host is None:
            super().__init__(folder, {}, flags)
        else:
            super().__init__(folder, {}, (*flags, "--open"), host.within, host.address)

    def paced(self, seconds: float) -> None:
        """From now on each request takes so long."""
        self._pace.write_text(str(seconds))

    def kill(self) -> None:
        """Kills everything of it at once, as a machine that loses its power."""
        everything = self.processes()
        for each in everything:
            each.kill()
        psutil.wait_procs(everything)


@contextmanager
def replicas(
    folder: Path, seconds: Sequence[float], hosts: Sequence[Host | None] = (), flags: Sequence[str] = ()
) -> Iterator[list[Replica]]:
    """As many as there are seconds to sleep, ready; their hosts are their own where there are some."""
    with ExitStack() as stack:
        found = []
        for number, each in enumerate(seconds):
            own = folder / str(number)
            own.mkdir(parents=True)
            replica = Replica(own, each, hosts[number] if number < len(hosts) else None, flags)
            stack.callback(replica.stop)
            replica.start()
            found.append(replica)
        for replica in found:
            replica.wait_ready()
        yield found
