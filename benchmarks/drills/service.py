"""`concord serve` with the demo weights, as drills run it: in processes of its own, each of which can be killed."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.load.generator import Target
from concord.instruments.memory import MIB
from concord.server.embedded import HOST, Ports
from concord.server.leftovers import SHARED_MEMORY
from concord.server.processes import model_of
from concord_client.catalogue import Pipeline
from concord_client.tasks import TASKS
from facade.work.requests import smallest

START_SECONDS = 300.0
NOTHING, TRITON, FACADE, KEEPER, EVERYTHING = "nothing", "tritonserver", "the facade", "the keeper", "everything"


class Service:
    """`concord serve` with the demo weights on ports of its own.

    Args:
        folder: where its log is.
        flags: further ones of `concord serve`.
        within: a command that runs what follows it, in a place of the drill's own.
        host: address of the facade; its Triton is on loopback.
    """

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str],
        flags: Sequence[str] = ("--no-page",),
        within: Sequence[str] = (),
        host: str = HOST,
    ) -> None:
        ports = Ports(grpc=0, metrics=0).chosen()
        port = self.port = Ports(grpc=0, metrics=0).chosen().grpc
        self.address, self.grpc_url = f"{host}:{port}", f"{HOST}:{ports.grpc}"
        self.url = f"http://{self.address}"
        self._environment = {**os.environ, **environment}
        numbers = {"--port": port, "--grpc-port": ports.grpc, "--metrics-port": ports.metrics}
        words = [word for name, port in numbers.items() for word in (name, str(port))]
        words += ["--host", host, "--log-file", f"{folder}/log"]
        self._command = [*within, sys.executable, "-m", "facade.serve", *flags, *words]

    def start(self) -> None:
        silent = subprocess.DEVNULL
        self.process = psutil.Popen(self._command, env=self._environment, stdout=silent, stderr=silent)

    def wait_ready(self) -> None:
        """Raises RuntimeError if it is not, for long."""
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            with suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/readyz", timeout=START_SECONDS).is_success:
                    return
            time.sleep(0.1)
        raise RuntimeError(f"the service was not ready within {START_SECONDS:g} s")

    def processes(self) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            # Triton leaves zombies of stubs that were killed.
            found = [self.process, *self.process.children(recursive=True)]
            return [each for each in found if each.status() != psutil.STATUS_ZOMBIE]
        return []

    def victims(self) -> dict[str, list[psutil.Process]]:
        """What can be killed, by name."""
        everything = self.processes()
        triton = next(each for each in everything if each.name() == TRITON)
        stubs = {model_of(each.cmdline()): [each] for each in everything if each.ppid() == triton.pid}
        keeper = [each for each in everything if each.pid == triton.ppid()]
        named = {TRITON: [triton], KEEPER: keeper, FACADE: everything[:1], EVERYTHING: everything}
        return {NOTHING: [], **dict(sorted(stubs.items())), **named}

    def request(self, pipeline: Pipeline) -> Target:
        """The one that costs least, so that how long it takes does not hide how long it waited."""
        task = next(each for each in TASKS if pipeline.task == each.TASK)
        request, settings = smallest(task, pipeline)
        given = {field: getattr(request, field.name) for field in request.given()}
        images = {field.name: value for field, value in given.items() if field.kind == "image"}
        texts = {field.name: value for field, value in given.items() if field.name not in images}
        url, fields = f"{self.url}/v1/{pipeline.task}", {**texts, **settings}
        # A form without a file would not be sent in parts.
        files: dict[str, Any] = {"model": (None, pipeline.model), **images}
        return Target.of(httpx.Request("POST", url, data=fields, files=files))

    def stop(self) -> None:
        everything = self.processes()
        if everything:
            self.process.terminate()
        for left in psutil.wait_procs(everything, START_SECONDS)[1]:
            left.kill()


@contextmanager
def serving(folder: Path, environment: Mapping[str, str] | None = None, **kind: Any) -> Iterator[Service]:
    """The service, ready; arguments as those of `Service`."""
    service = Service(folder, environment or {}, **kind)
    service.start()
    try:
        service.wait_ready()
        yield service
    finally:
        service.stop()


def shared_mib() -> float:
    """MiB in shared memory."""
    return psutil.disk_usage(str(SHARED_MEMORY)).used / MIB
