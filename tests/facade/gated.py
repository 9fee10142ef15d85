"""A real Triton whose model `gated` answers when a test says so, with the image as it was."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from concord.server.embedded import EmbeddedServer, Ports
from facade.settings import Settings
from tests.facade.running import Facade, running
from tests.serving.asking import statistics

MODEL = "gated"
RUNNING = 2
WAITING = 2

_MODEL = """import time
from pathlib import Path

import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        while not Path({gate!r}).exists():
            time.sleep(0.005)
        return [self.answer(request) for request in requests]

    def answer(self, request):
        image = pb_utils.get_input_tensor_by_name(request, "IMAGE").as_numpy()
        return pb_utils.InferenceResponse([pb_utils.Tensor("HARMONIZED", image)])
"""
_CONFIG = """backend: "python"
max_batch_size: 1
input [ { name: "IMAGE" data_type: TYPE_STRING dims: [ 1 ] }, { name: "MASK" data_type: TYPE_STRING dims: [ 1 ] } ]
output [ { name: "HARMONIZED" data_type: TYPE_STRING dims: [ 1 ] } ]
instance_group [ { count: 1 kind: KIND_CPU } ]
parameters { key: "task" value { string_value: "harmonize" } }
parameters { key: "model" value { string_value: "gated" } }
"""


@dataclass(frozen=True)
class Gated:
    """A facade in front of that Triton: `RUNNING` requests run at a time, `WAITING` wait."""

    facade: Facade
    server: EmbeddedServer
    path: Path

    def open(self) -> None:
        """Lets everything be answered from now on."""
        self.path.touch()

    def close(self) -> None:
        """Lets nothing be answered from now on."""
        self.path.unlink(missing_ok=True)

    @property
    def executed(self) -> int:
        """Requests that Triton has run so far."""
        stats = statistics(self.server)
        return stats["harmonize"].inference_stats.success.count if "harmonize" in stats else 0

    def wait_for(self, running: int, waiting: int) -> None:
        """Returns when so many requests run and wait."""
        admission = self.facade.service.admission
        self.facade.wait_until(lambda: (admission.running[MODEL], admission.waiting[MODEL]) == (running, waiting))


@contextmanager
def gated(folder: Path, **settings: object) -> Iterator[Gated]:
    """Serves for as long as the block runs; open at first."""
    version = folder / "models" / "harmonize" / "1"
    version.mkdir(parents=True)
    gate = folder / "open"
    gate.touch()
    (version / "model.py").write_text(_MODEL.format(gate=str(gate)))
    (version.parent / "config.pbtxt").write_text('name: "harmonize"\n' + _CONFIG)
    with EmbeddedServer([folder / "models"], ports=Ports(0, 0, 0)) as server:
        chosen = {"page": False, "concurrency": {MODEL: RUNNING}, "queue": WAITING} | settings
        # A readiness probe would be one more request; it is made once, at the start.
        with running(Settings(triton_url=server.grpc_url, probe_interval=3600, **chosen)) as facade:
            facade.wait_until(lambda: facade.app.state.readiness.ready)
            yield Gated(facade, server, gate)
            gate.touch()
