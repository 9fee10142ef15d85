import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path

import psutil
import pytest

from concord.installation import MODEL_REPOSITORIES
from concord.server import EmbeddedServer, Ports
from concord.watchdog import Watchdog
from tests.serving.asking import ask
from tests.serving.pictures import encoded, middle, photograph

ANY = Ports(0, 0, 0)
GOOD = {"IMAGE": encoded(photograph(64, 48)), "MASK": encoded(middle(64, 48))}
LARGE = {"IMAGE": encoded(photograph(1600, 1200), "JPEG"), "MASK": encoded(middle(1600, 1200))}


@contextmanager
def serving(
    tmp_path: Path, *arguments: object, ports: Ports = ANY
) -> Iterator[tuple[subprocess.Popen, EmbeddedServer]]:
    """``concord serve`` as a process, and its addresses as a server that was never started here."""
    ports = ports.chosen() if ports == ANY else ports
    flags = zip(("--http-port", "--grpc-port", "--metrics-port"), astuple(ports), strict=True)
    command = [sys.executable, "-m", "concord.serve", "--log-file", tmp_path / "log", *arguments]
    command += [word for flag in flags for word in flag]
    with subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process, EmbeddedServer(ports=ports)
        finally:
            process.kill()


def wait_for(words: str, process: subprocess.Popen) -> str:
    """Reads what the command says up to the line with these words."""
    said = ""
    for line in process.stderr:
        said += line
        if words in line:
            return said
    raise AssertionError(f"it ended without saying {words!r}:\n{said}")


def descendants(process: subprocess.Popen) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def stub_of(model: str, processes: list[psutil.Process]) -> psutil.Process:
    return next(process for process in processes if any(f"/{model}/1/" in word for word in process.cmdline()))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_cleanly_after_the_request_in_flight(tmp_path, number):
    with serving(tmp_path) as (process, server):
        assert f"gRPC 127.0.0.1:{server.ports.grpc}" in wait_for("ready", process)
        processes = descendants(process)
        answers: list = []
        caller = threading.Thread(target=lambda: answers.append(ask(server, "harmonize", LARGE)))
        caller.start()
        # In flight from the moment that a stub computes.
        dht = stub_of("dht", processes)
        idle = sum(dht.cpu_times()[:2])
        while sum(dht.cpu_times()[:2]) <= idle:
            assert caller.is_alive()
        process.send_signal(number)
        caller.join()
        assert process.wait(timeout=60) == 0
        assert len(answers) == 1
        assert not any(each.is_running() for each in processes)
        assert server.ports.chosen() == server.ports


def test_a_dead_stub_is_noticed_and_the_next_request_is_answered(tmp_path):
    with serving(tmp_path) as (process, server):
        wait_for("ready", process)
        stub_of("compose", descendants(process)).kill()
        assert "the process of model 'compose' is dead" in wait_for("ready again", process)
        assert ask(server, "harmonize", GOOD)


def test_a_dead_server_is_noticed_and_the_next_request_is_answered(tmp_path):
    with serving(tmp_path) as (process, server):
        wait_for("ready", process)
        next(each for each in descendants(process) if each.name() == "tritonserver").kill()
        assert "the server's process has ended" in wait_for("ready again", process)
        assert ask(server, "harmonize", GOOD)


def test_it_says_why_it_cannot_start(tmp_path):
    with serving(tmp_path, "--model-repository", tmp_path / "nowhere") as (process, _):
        assert f"there is no folder {tmp_path}/nowhere" in process.stderr.read()
        assert process.wait() == 1


def test_a_taken_port_ends_it_with_an_explanation(tmp_path, server):
    with serving(tmp_path, ports=server.ports) as (process, _):
        assert f"HTTP port: {server.ports.http} on 127.0.0.1 is taken" in process.stderr.read()
        assert process.wait() == 1


def test_a_healthy_server_gives_the_watchdog_no_reason(server):
    assert Watchdog(server).problem() == ""


def test_a_model_that_hangs_is_noticed(tmp_path):
    repository = tmp_path / "models"
    repository.mkdir()
    (repository / "dht").symlink_to(MODEL_REPOSITORIES[0] / "dht")
    with EmbeddedServer([repository], ports=ANY) as hanging:
        stub = stub_of("dht", hanging.processes())
        stub.suspend()
        assert "model 'dht'" in Watchdog(hanging, patience=5).problem()
        stub.resume()
