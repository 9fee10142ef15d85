"""What ``concord serve`` promises those who ask its Triton directly."""

import signal
import threading

import pytest

from concord.server.embedded import EmbeddedServer
from concord.server.installation import MODEL_REPOSITORIES
from concord.server.watchdog import Watchdog
from tests.serving.asking import ask
from tests.serving.pictures import decoded, encoded, middle, photograph
from tests.serving.stack import ANY, serving, stub_of

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


def test_a_dead_stub_is_noticed_and_the_next_request_is_answered(tmp_path):
    with serving(tmp_path) as stack:
        stack.wait_for("ready")
        stack.stub("compose").kill()
        assert "the process of model 'compose' is dead" in stack.wait_for("ready again")
        assert decoded(ask(stack.server, "harmonize_ht", GOOD)["HARMONIZED"].item()).shape == (HEIGHT, WIDTH, 3)


def test_a_dead_server_is_noticed_and_the_next_request_is_answered(tmp_path):
    with serving(tmp_path) as stack:
        stack.wait_for("ready")
        stack.triton().kill()
        assert "the server's process has ended" in stack.wait_for("ready again")
        assert decoded(ask(stack.server, "harmonize_ht", GOOD)["HARMONIZED"].item()).shape == (HEIGHT, WIDTH, 3)


def test_it_says_why_it_cannot_start(tmp_path):
    with serving(tmp_path, "--model-repository", tmp_path / "nowhere") as stack:
        assert f"there is no folder {tmp_path}/nowhere" in stack.process.stderr.read()
        assert stack.process.wait() == 1


def test_a_taken_port_ends_it_with_an_explanation(tmp_path, server):
    with serving(tmp_path, ports=server.ports) as stack:
        assert f"HTTP port: {server.ports.http} on 127.0.0.1 is taken" in stack.process.stderr.read()
        assert stack.process.wait() == 1


def test_a_model_that_hangs_is_noticed_and_the_server_is_started_again(tmp_path):
    repository = tmp_path / "models"
    repository.mkdir()
    (repository / "ht").symlink_to(MODEL_REPOSITORIES[0] / "ht")
    with EmbeddedServer([repository], ports=ANY) as hanging:
        stub_of("ht", hanging.processes()).suspend()
        said, ready, stop = [], threading.Event(), threading.Event()

        def notify(words: str) -> None:
            said.append(words)
            if "ready again" in words:
                ready.set()

        watching = threading.Thread(
            target=Watchdog(hanging, interval=0.5, patience=5, notify=notify).watch, args=[stop]
        )
        watching.start()
        try:
            assert ready.wait(180), said
        finally:
            stop.set()
            watching.join()
    assert "model 'ht'" in said[0]
