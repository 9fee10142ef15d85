"""``concord serve`` is one process tree: what dies in it is started again, and a stop loses no accepted request."""

import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from concord.server.embedded import Ports
from tests.facade.running import PATIENCE
from tests.serving.pictures import encoded, middle, photograph
from tests.serving.stack import ANY, Stack, harmonizing_models, left_of, name_of, serving

SMALL = {"image": encoded(photograph(64, 48)), "mask": encoded(middle(64, 48))}
LARGE = {"image": encoded(photograph(1000, 750), "JPEG"), "mask": encoded(middle(1000, 750))}
IN_FLIGHT = 6


@contextmanager
def ready_stack(tmp_path: Path, *flags: object, ports: Ports = ANY) -> Iterator[Stack]:
    """The command, in front of a Triton that is ready."""
    flags = ("--model-repository", harmonizing_models(tmp_path), "--probe-interval", 0.5, *flags)
    with serving(tmp_path, *flags, "--concurrency", "ht=2", ports=ports) as stack:
        _ = stack.url
        stack.wait_for("Triton is ready")
        wait_until(lambda: ready(stack))
        yield stack


@pytest.fixture(scope="module")
def lasting(tmp_path_factory) -> Iterator[Stack]:
    """One that every test leaves ready."""
    with ready_stack(tmp_path_factory.mktemp("lasting")) as stack:
        yield stack


@pytest.fixture
def stack(tmp_path) -> Iterator[Stack]:
    """One that a test may stop."""
    with ready_stack(tmp_path) as stack:
        yield stack


def wait_until(condition: Callable[[], bool]) -> None:
    """Asks again and again, for a minute at most."""
    waited = threading.Event()
    timer = threading.Timer(2 * PATIENCE, waited.set)
    timer.start()
    try:
        while not condition():
            assert not waited.is_set(), "it did not come true"
    finally:
        timer.cancel()


def ready(stack: Stack) -> bool:
    return httpx.get(f"{stack.url}/readyz", timeout=PATIENCE).status_code == 200


def harmonize(stack: Stack, files: dict[str, bytes], **fields: str) -> httpx.Response:
    return httpx.post(f"{stack.url}/v1/harmonize", files=files, data=fields, timeout=PATIENCE)


def accepted(stack: Stack) -> int:
    """Requests that wait or are being answered, as the metrics say."""
    lines = httpx.get(f"{stack.url}/metrics", timeout=PATIENCE).text.splitlines()
    names = ('concord_in_flight{model="ht"}', 'concord_queue_depth{model="ht"}')
    return sum(int(float(line.split()[-1])) for line in lines if line.startswith(names))


def turned_away(stack: Stack) -> bool:
    try:
        httpx.get(f"{stack.url}/healthz", timeout=PATIENCE)
    except httpx.TransportError:
        return True
    return False


def assert_nothing_is_left(processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, PATIENCE)
    assert not alive


VICTIMS = {
    "a model at work": lambda stack: stack.stub("ht"),
    "a model behind it": lambda stack: stack.stub("compose"),
    "Triton": lambda stack: stack.triton(),
    "its keeper": lambda stack: stack.triton().parent(),
}


@pytest.mark.parametrize("victim", VICTIMS)
def test_what_dies_is_started_again_and_no_request_is_lost(lasting, victim):
    stack = lasting
    with ThreadPoolExecutor(2 * IN_FLIGHT) as pool:
        asked = [pool.submit(harmonize, stack, LARGE) for _ in range(IN_FLIGHT)]
        wait_until(lambda: accepted(stack) == IN_FLIGHT)
        VICTIMS[victim](stack).kill()
        stack.wait_for("again")
        # These come while it is away.
        asked += [pool.submit(harmonize, stack, SMALL) for _ in range(IN_FLIGHT)]
        assert httpx.get(f"{stack.url}/healthz", timeout=PATIENCE).status_code == 200
        assert [answer.result().status_code for answer in asked] == [200] * len(asked)
    stack.wait_for("ready again")
    wait_until(lambda: ready(stack))
    assert stack.process.poll() is None


def test_sigterm_loses_no_accepted_request(stack):
    processes = stack.descendants()
    with ThreadPoolExecutor(IN_FLIGHT) as pool, socket.create_connection(stack.url[7:].split(":")) as half_sent:
        request = httpx.Request("POST", f"{stack.url}/v1/harmonize", files=SMALL)
        body = request.read()
        head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        half_sent.sendall(f"POST /v1/harmonize HTTP/1.1\r\n{head}\r\n".encode() + body[:100])
        streamed = pool.submit(harmonize, stack, LARGE, stream="true")
        asked = [pool.submit(harmonize, stack, LARGE) for _ in range(IN_FLIGHT - 1)]
        wait_until(lambda: accepted(stack) == IN_FLIGHT)
        stack.process.send_signal(signal.SIGTERM)
        stack.wait_for("stopping")
        wait_until(lambda: turned_away(stack))
        half_sent.sendall(body[100:])
        assert [answer.result().status_code for answer in asked] == [200] * len(asked)
        assert "event: result" in streamed.result().text
        assert half_sent.recv(64).startswith(b"HTTP/1.1 200 ")
        while half_sent.recv(2**16):
            pass
    assert stack.process.wait(PATIENCE) == 0
    assert_nothing_is_left(processes)


def test_a_second_signal_stops_at_once(stack):
    processes = stack.descendants()
    stack.stub("ht").suspend()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(harmonize, stack, SMALL)
        wait_until(lambda: accepted(stack) == 1)
        stack.process.send_signal(signal.SIGTERM)
        stack.wait_for("stopping")
        stack.process.send_signal(signal.SIGTERM)
        assert stack.process.wait(PATIENCE) == 0
        assert asked.exception() is not None or asked.result().status_code >= 500
    assert_nothing_is_left(processes)


def test_what_is_not_answered_in_the_time_for_stopping_is_told_so(tmp_path):
    with ready_stack(tmp_path, "--drain-seconds", 0.001) as stack, ThreadPoolExecutor(1) as pool:
        processes = stack.descendants()
        asked = pool.submit(harmonize, stack, LARGE)
        wait_until(lambda: accepted(stack) == 1)
        stack.process.send_signal(signal.SIGTERM)
        refused = asked.result()
        assert refused.status_code == 503 and int(refused.headers["retry-after"]) >= 1
        assert refused.json()["detail"] == "the facade is being stopped"
        assert stack.process.wait(PATIENCE) == 0
        assert_nothing_is_left(processes)


@pytest.mark.parametrize("everything", [False, True], ids=["the facade", "every process"])
def test_after_a_kill_amid_work_the_next_start_serves_on_the_same_ports(stack, tmp_path, everything):
    processes = [psutil.Process(stack.process.pid), *stack.descendants()]
    name = name_of(processes)
    assert left_of(name)
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        for _ in range(IN_FLIGHT):
            pool.submit(harmonize, stack, LARGE)
        wait_until(lambda: accepted(stack) == IN_FLIGHT)
        for each in processes if everything else processes[:1]:
            each.kill()
        killed = time.monotonic()
        (tmp_path / "again").mkdir()
        port = stack.url.rpartition(":")[2]
        with ready_stack(tmp_path / "again", "--port", port, ports=stack.server.ports) as second:
            assert time.monotonic() - killed < PATIENCE
            assert second.url == stack.url
            assert harmonize(second, SMALL).status_code == 200
            assert_nothing_is_left(processes)
            assert not left_of(name)


def test_while_triton_starts_the_facade_lives_and_says_that_it_is_not_ready(tmp_path):
    with serving(tmp_path, "--model-repository", harmonizing_models(tmp_path)) as stack:
        assert httpx.get(f"{stack.url}/healthz", timeout=PATIENCE).status_code == 200
        assert not ready(stack)
        assert harmonize(stack, SMALL).status_code == 503
        stack.process.send_signal(signal.SIGTERM)
        assert stack.process.wait(PATIENCE) == 0


def test_a_taken_port_ends_it_in_plain_words(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with serving(tmp_path, "--port", port) as stack:
            assert f"port: {port} on 127.0.0.1 is taken; allowed: a free port" in stack.process.stderr.read()
            assert stack.process.wait() == 1


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--queue", "many"), "--queue (CONCORD_QUEUE)"),
        (("--api-keys-file", "/nowhere"), "--api-keys-file (CONCORD_API_KEYS_FILE)"),
    ],
)
def test_a_wrong_setting_ends_it_in_plain_words(tmp_path, flags, words):
    with serving(tmp_path, *flags) as stack:
        said = stack.process.stderr.read()
        assert words in said and "Traceback" not in said
        assert stack.process.wait() == 2


def test_with_a_triton_elsewhere_none_is_started(tmp_path, server):
    with serving(tmp_path, "--triton-url", server.grpc_url) as stack:
        _ = stack.url
        wait_until(lambda: ready(stack))
        assert not [each for each in stack.descendants() if each.name() == "tritonserver"]
        assert harmonize(stack, SMALL).status_code == 200
        stack.process.send_signal(signal.SIGTERM)
        assert stack.process.wait(PATIENCE) == 0
    assert server.is_ready()
