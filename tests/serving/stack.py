"""``concord serve`` as a process of its own: the facade and its Triton."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import gettempdir

import psutil

from concord.server.embedded import EmbeddedServer, Ports
from concord.server.installation import MODEL_REPOSITORIES
from concord.server.leftovers import PREFIX, SHARED_MEMORY
from concord.server.processes import model_of
from concord.variants import DEFAULT

ANY = Ports(grpc=0, metrics=0)
HARMONIZING = ("decode", "decode_mask", "ht", "compose")


@dataclass(frozen=True)
class Stack:
    """The running command, and Triton's addresses as a server that was never started here."""

    process: subprocess.Popen[str]
    server: EmbeddedServer
    log_path: Path

    def wait_for(self, words: str) -> str:
        """Reads what the command says up to the line with these words."""
        said = ""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            said += line
            if words in line:
                return said
        raise AssertionError(f"it ended without saying {words!r}:\n{said}")

    @cached_property
    def url(self) -> str:
        """Where the facade is; to be asked for before anything else is waited for."""
        found = re.search(r"http://\S+:\d+", self.wait_for("the facade is at"))
        assert found is not None
        return found[0]

    def descendants(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def triton(self) -> psutil.Process:
        return next(each for each in self.descendants() if each.name() == "tritonserver")

    def stub(self, model: str) -> psutil.Process:
        return stub_of(model, self.descendants())

    def log(self) -> list[dict]:
        """The lines of the facade's log."""
        return [json.loads(line) for line in self.log_path.read_text().splitlines()]


def ended(process: psutil.Process) -> bool:
    """Whether it runs no more; Triton leaves a zombie of a model's process that died."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def stub_of(model: str, processes: list[psutil.Process]) -> psutil.Process:
    """The process that runs a model."""
    return next(each for each in processes if not ended(each) and model_of(each.cmdline()) == model)


def name_of(processes: list[psutil.Process]) -> str:
    """The name of the server whose processes they are: that of its folder and of its shared memory."""
    words = " ".join(word for process in processes for word in process.cmdline())
    [name] = set(re.findall(rf"{PREFIX}\w{{8}}", words))
    return name


def left_of(name: str) -> list[Path]:
    """What a server has outside its processes."""
    return [path for place in (Path(gettempdir()), SHARED_MEMORY) for path in place.glob(f"{name}*")]


def wait_until(condition: Callable[[], bool], seconds: float = 180) -> None:
    """Asks again and again."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.02)


@contextmanager
def serving(tmp_path: Path, *arguments: object, ports: Ports = ANY) -> Iterator[Stack]:
    """``concord serve`` without the page, the facade and by default Triton too on free ports."""
    ports = ports.chosen() if ports == ANY else ports
    flags: list[object] = ["--grpc-port", ports.grpc, "--metrics-port", ports.metrics]
    flags += [] if ports.http is None else ["--triton-http", "--http-port", ports.http]
    command = [sys.executable, "-m", "facade.serve", "--no-page", "--log-file", tmp_path / "triton.log"]
    command += [] if "--port" in arguments else ["--port", 0]
    # The same answers on every processor.
    command += [] if "--model-config-name" in arguments else ["--model-config-name", DEFAULT]
    command += [*arguments, *flags]
    log_path = tmp_path / "facade.log"
    with (
        log_path.open("wb") as log,
        subprocess.Popen(list(map(str, command)), stdout=log, stderr=subprocess.PIPE, text=True) as process,
    ):
        try:
            yield Stack(process, EmbeddedServer(ports=ports), log_path)
        finally:
            process.kill()


def harmonizing_models(tmp_path: Path) -> Path:
    """A repository with what harmonizes a given mask, and no more, so that it starts soon."""
    repository = tmp_path / "models"
    repository.mkdir(parents=True)
    models, ensembles = MODEL_REPOSITORIES
    for model in HARMONIZING:
        (repository / model).symlink_to(models / model)
    (repository / "harmonize_ht").symlink_to(ensembles / "harmonize_ht")
    return repository
