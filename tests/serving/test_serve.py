"""What ``concord serve`` promises those who ask its Triton directly."""

import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import numpy as np
import psutil
import pytest

from concord.server.embedded import EmbeddedServer
from concord.server.installation import HUGE_PAGES
from concord.server.watchdog import Watchdog
from tests.serving.asking import ask, together
from tests.serving.pictures import decoded, encoded, middle, photograph
from tests.serving.stack import ANY, ended, harmonizing_models, left_of, name_of, serving, stub_of, wait_until

WIDTH, HEIGHT = 64, 48
GOOD = {"IMAGE": encoded(photograph(WIDTH, HEIGHT)), "MASK": encoded(middle(WIDTH, HEIGHT))}
LARGE = {"IMAGE": encoded(photograph(1600, 1200), "JPEG"), "MASK": encoded(middle(1600, 1200))}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_cleanly_after_the_request_in_flight(tmp_path, number):
    with serving(tmp_path) as stack:
        server = stack.server
        assert f"gRPC 127.0.0.1:{server.ports.grpc}" in stack.wait_for("ready")
        processes = stack.descendants()
        answers: list = []
        caller = threading.Thread(target=lambda: answers.append(ask(server, "harmonize_ht", LARGE)))
        caller.start()
        # In flight from the moment that a stub computes.
        harmonizer = stub_of("ht", processes)
        idle = sum(harmonizer.cpu_times()[:2])
        while sum(harmonizer.cpu_times()[:2]) <= idle:
            assert caller.is_alive()
        stack.process.send_signal(number)
        caller.join()
        assert stack.process.wait(timeout=60) == 0
        assert len(answers) == 1
        assert not any(each.is_running() for each in processes)
        assert server.ports.chosen() == server.ports


def test_it_takes_large_blocks_of_memory_in_huge_pages(tmp_path):
    with serving(tmp_path, "--triton-url", "127.0.0.1:1") as stack:
        stack.wait_for("the facade is at")
        assert psutil.Process(stack.process.pid).environ()["GLIBC_TUNABLES"] == HUGE_PAGES


def test_it_says_why_it_cannot_start(tmp_path):
    with serving(tmp_path, "--model-repository", tmp_path / "nowhere") as stack:
        assert f"there is no folder {tmp_path}/nowhere" in stack.process.stderr.read()
        assert stack.process.wait() == 1


def test_what_it_cannot_serve_with_ends_the_triton_that_has_begun_to_start(tmp_path):
    started: set[psutil.Process] = set()
    with serving(tmp_path, "--api-keys", ",", "--model-repository", harmonizing_models(tmp_path)) as stack:
        while stack.process.poll() is None:
            with suppress(psutil.NoSuchProcess):
                started |= set(stack.descendants())
            time.sleep(0.02)
        assert stack.process.returncode == 2 and "there is no key in it" in stack.process.stderr.read()
    gone, alive = psutil.wait_procs(started, timeout=60)
    assert gone and all(map(ended, alive))


def test_triton_answers_http_only_where_that_is_asked_for(tmp_path):
    with serving(tmp_path, "--model-repository", harmonizing_models(tmp_path)) as stack:
        assert "HTTP" not in stack.wait_for("Triton is ready").partition("Triton is ready")[2]
        listening = {c.laddr.port for c in stack.triton().net_connections() if c.status == psutil.CONN_LISTEN}
        assert listening == {stack.server.ports.grpc, stack.server.ports.metrics}


def test_a_taken_port_ends_it_with_an_explanation(tmp_path, server):
    with serving(tmp_path, ports=server.ports) as stack:
        assert f"HTTP port: {server.ports.http} on 127.0.0.1 is taken" in stack.process.stderr.read()
        assert stack.process.wait() == 1


@pytest.fixture(scope="module")
def harmonizing(tmp_path_factory) -> Iterator[EmbeddedServer]:
    """A server of a few models, in which things die."""
    with EmbeddedServer([harmonizing_models(tmp_path_factory.mktemp("harmonizing"))], ports=ANY) as server:
        yield server


def harmonizes(server: EmbeddedServer) -> bool:
    return decoded(ask(server, "harmonize_ht", GOOD)["HARMONIZED"].item()).shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize("signalled", ["kill", "suspend"])
def test_a_model_that_dies_or_hangs_is_loaded_again_while_the_server_goes_on(harmonizing, signalled):
    processes = [each for each in harmonizing.processes() if not ended(each)]
    victim = stub_of("compose", processes)
    with watched(harmonizing, patience=3) as said:
        getattr(victim, signalled)()
        wait_until(lambda: bool(said) and said[-1] == "model 'compose' is ready again")
    assert harmonizes(harmonizing)
    assert all(each.is_running() for each in processes if each != victim)
    assert ended(victim)
    name = name_of([each for each in harmonizing.processes() if not ended(each)])
    assert {oct(path.stat().st_mode & 0o077) for path in left_of(name)} == {"0o0"}


def test_models_that_die_together_are_loaded_again(harmonizing):
    dead = {"compose", "decode", "ht"}
    with watched(harmonizing, patience=60) as said:
        for model in dead:
            stub_of(model, harmonizing.processes()).kill()
        wait_until(lambda: dead <= set(re.findall(r"'(\w+)'", " ".join(each for each in said if "ready" in each))))
    assert harmonizes(harmonizing)


@pytest.mark.parametrize("victim", [0, 1], ids=["the keeper", "tritonserver"])
def test_a_dead_server_is_started_again(harmonizing, victim):
    with watched(harmonizing, patience=60) as said:
        harmonizing.processes()[victim].kill()
        wait_until(lambda: "the server is ready again" in said)
    assert said[0] == "the server's process has ended; starting the server again"
    assert harmonizes(harmonizing)


SLOW = """import time
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        time.sleep(0.5 * len(requests))
        tensors = [pb_utils.get_input_tensor_by_name(request, "GIVEN").as_numpy() for request in requests]
        return [pb_utils.InferenceResponse([pb_utils.Tensor("ANSWERED", tensor)]) for tensor in tensors]
"""
SLOW_CONFIG = """backend: "python"
input [ { name: "GIVEN" data_type: TYPE_INT32 dims: [ 1 ] } ]
output [ { name: "ANSWERED" data_type: TYPE_INT32 dims: [ 1 ] } ]
instance_group [ { count: 1 kind: KIND_CPU } ]
"""


def test_a_queue_that_is_longer_than_the_patience_is_no_death(tmp_path):
    (tmp_path / "slow" / "1").mkdir(parents=True)
    (tmp_path / "slow" / "1" / "model.py").write_text(SLOW)
    (tmp_path / "slow" / "config.pbtxt").write_text(SLOW_CONFIG)
    given = [{"GIVEN": np.array([number], np.int32)} for number in range(30)]
    with EmbeddedServer([tmp_path], ports=ANY) as busy, watched(busy, patience=2) as said:
        # A canary waits behind them for 15 seconds.
        answers = together(len(given), lambda number: ask(busy, "slow", given[number])["ANSWERED"].item())
    assert answers == list(range(len(given))) and not said


@contextmanager
def watched(server: EmbeddedServer, patience: float) -> Iterator[list[str]]:
    """A watchdog for as long as the block runs, and what it says."""
    said: list[str] = []
    stop = threading.Event()
    watchdog = Watchdog(server, interval=0.5, patience=patience, notify=said.append)
    watching = threading.Thread(target=watchdog.watch, args=[stop])
    watching.start()
    try:
        yield said
    finally:
        stop.set()
        watching.join()
