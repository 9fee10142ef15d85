"""Two Concords answer as one behind HAProxy, with the configuration of ``deploy/``; on hosts of their own where this
machine lets tests have such."""

import re
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import httpx
import pytest

from benchmarks.balanced.haproxy import Balancer, balancing
from benchmarks.balanced.network import Host, are_possible, host
from benchmarks.balanced.replicas import MODEL, Replica, replicas
from benchmarks.load.identity_model import write_instant
from concord.server.embedded import HOST, EmbeddedServer
from concord_client import Client
from facade.settings import Settings
from tests.facade.running import PATIENCE, running
from tests.facade.sending import events
from tests.serving.pictures import encoded, middle, photograph
from tests.serving.stack import ANY, wait_until

FILES = {"image": encoded(photograph(64, 48)), "mask": encoded(middle(64, 48))}
CLIENTS = 6
SHORT, LONG = 0.2, 2.0
NOWHERE = "127.0.0.1:9"


@pytest.fixture(scope="module")
def hosts() -> Iterator[list[Host | None]]:
    with ExitStack() as stack:
        yield [stack.enter_context(host(number)) if are_possible() else None for number in range(2)]


@pytest.fixture(scope="module")
def started(tmp_path_factory, hosts) -> Iterator[list[Replica]]:
    with replicas(tmp_path_factory.mktemp("replicas"), [SHORT, SHORT], hosts, flags=["--queue", "4"]) as pool:
        yield pool


@dataclass(frozen=True)
class Balanced:
    """Two replicas that are up, the balancer before them, and those who ask it."""

    balancer: Balancer
    a: Replica
    b: Replica
    clients: ThreadPoolExecutor

    def ask(self, **headers: str) -> httpx.Response:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.post(f"{self.balancer.url}/v1/harmonize", files=FILES, headers=sent, timeout=PATIENCE)

    def patiently(self) -> list[httpx.Response]:
        """Asks until an answer no longer says to come again; all of the answers."""
        answers = [self.ask()]
        while "retry-after" in answers[-1].headers:
            time.sleep(float(answers[-1].headers["retry-after"]))
            answers.append(self.ask())
        return answers

    def asking(self, count: int) -> list[Future[list[httpx.Response]]]:
        """So many who ask patiently, at the same time; returns when all was given to replicas, some of it to each."""
        before = sum(self.served().values())
        asked = [self.clients.submit(self.patiently) for _ in range(count)]
        wait_until(lambda: all(int(row["scur"]) for row in self.balancer.replicas().values()))
        wait_until(lambda: sum(self.served().values()) >= before + count)
        return asked

    def served(self) -> dict[str, int]:
        """Requests that each replica was given so far."""
        return {name: int(row["stot"]) for name, row in self.balancer.replicas().items()}


@pytest.fixture
def balanced(started) -> Iterator[Balanced]:
    a, b = started
    for each in started:
        each.paced(SHORT)
        if not each.processes():
            each.start()
    for each in started:
        each.wait_ready()
    with ThreadPoolExecutor(2 * CLIENTS) as clients, balancing([a.address, b.address]) as balancer:
        yield Balanced(balancer, a, b, clients)


def statuses(asked: list[Future[list[httpx.Response]]]) -> list[list[int]]:
    return [[each.status_code for each in future.result()] for future in asked]


def test_a_replica_that_is_three_times_slower_gets_a_third_as_much(balanced):
    balanced.b.paced(3 * SHORT)
    number = 4 * 8
    with ThreadPoolExecutor(CLIENTS) as clients:
        answers = list(clients.map(lambda _: balanced.ask(), range(number)))
    assert {each.status_code for each in answers} == {200}
    served = balanced.served()
    assert sum(served.values()) == number and abs(served["b"] - number / 4) <= 4, served


def test_a_stream_is_passed_on_event_by_event_and_its_job_is_cancelled_wherever_it_runs(balanced):
    balanced.a.paced(LONG)
    balanced.b.paced(LONG)
    url = balanced.balancer.url
    for job in ("first", "second"):
        post = {"files": FILES, "data": {"stream": "true"}, "headers": {"X-Job-Id": job}, "timeout": PATIENCE}
        with httpx.stream("POST", f"{url}/v1/harmonize", **post) as answer:
            pieces = answer.iter_text()
            begun = next(pieces)
            # The model sleeps still: what has ended is no job.
            assert httpx.delete(f"{url}/v1/jobs/{job}").status_code == 204
            told = events(begun + "".join(pieces))
        assert told[0][0] == "queued" and "cancelled" in str(told[-1]), told
    assert set(balanced.served().values()) == {1}
    assert httpx.delete(f"{url}/v1/jobs/third").json()["type"] == "urn:concord:problem:unknown_job"


def test_a_client_that_leaves_is_gone_for_the_replica_too(balanced):
    balanced.a.paced(LONG)
    balanced.b.paced(LONG)
    before = left(balanced)
    for _ in range(2):
        with suppress(httpx.ReadTimeout):
            httpx.post(f"{balanced.balancer.url}/v1/harmonize", files=FILES, timeout=0.5)
    wait_until(lambda: left(balanced) == before + 2)


def left(balanced: Balanced) -> int:
    """Requests that the replicas ended since their client went away."""
    texts = [httpx.get(f"{each.url}/metrics", timeout=PATIENCE).text for each in (balanced.a, balanced.b)]
    counts = re.findall(r'^concord_requests_total\{.*status="499".*\} (\S+)$', "\n".join(texts), re.MULTILINE)
    return int(sum(map(float, counts)))


def test_who_is_refused_by_a_full_replica_is_told_when_to_come_back_and_is_answered_then(balanced):
    balanced.a.paced(1)
    balanced.b.paced(1)
    # Each replica has one at work and four that wait.
    answers = list(balanced.clients.map(lambda _: balanced.patiently(), range(2 * CLIENTS)))
    refused = [each for tried in answers for each in tried[:-1]]
    assert refused and {(each.status_code, each.json()["type"]) for each in refused} == {
        (503, "urn:concord:problem:too_busy")
    }
    assert {tried[-1].status_code for tried in answers} == {200}


def test_a_drained_replica_answers_what_it_accepted_and_nothing_is_refused(balanced):
    balanced.a.paced(1)
    asked = balanced.asking(4)
    balanced.b.process.terminate()
    later = [balanced.clients.submit(balanced.patiently) for _ in range(2)]
    assert statuses(asked + later) == [[200]] * 6
    balanced.b.process.wait()


def test_no_request_is_lost_with_a_replica_that_is_killed(balanced):
    balanced.a.paced(1)
    balanced.b.paced(1)
    asked = balanced.asking(4)
    balanced.b.kill()
    # The replica that is left has room for five: its own two, those of the other one, and this.
    later = [balanced.clients.submit(balanced.patiently)]
    # What the replica had is told so, and to be asked again; what comes later finds the other one.
    assert sorted(statuses(asked)) == [[200], [200], [502, 200], [502, 200]]
    later.append(balanced.clients.submit(balanced.patiently))
    assert statuses(later) == [[200], [200]]
    gone = next(each for future in asked for each in future.result() if each.status_code == 502)
    assert gone.json()["type"] == "urn:concord:problem:unavailable" and gone.json()["error"]


@pytest.mark.skipif(not are_possible(), reason="needs network namespaces: the rights of root, and Debian's iproute2")
def test_no_request_is_lost_with_a_replica_whose_link_is_cut_and_it_comes_back(balanced, hosts):
    balanced.a.paced(LONG)
    balanced.b.paced(SHORT)
    # Both have something, and a has it when its link is cut.
    asked = [balanced.clients.submit(balanced.patiently) for _ in range(4)]
    wait_until(lambda: int(balanced.balancer.replicas()["a"]["scur"]) == 2)
    hosts[0].cut()
    try:
        later = [balanced.clients.submit(balanced.patiently) for _ in range(2)]
        assert sorted(statuses(asked)) == [[200], [200], [502, 200], [502, 200]]
        assert statuses(later) == [[200], [200]]
        wait_until(lambda: balanced.balancer.up() == {"b"})
    finally:
        hosts[0].mend()
    wait_until(lambda: balanced.balancer.up() == {"a", "b"})


def test_a_replica_that_is_not_as_the_pool_wants_it_is_left_out_and_named(balanced):
    other = Settings(triton_url=NOWHERE, page=False, max_batch_images=7)
    with running(other) as odd:
        wanted = f"/readyz?max_batch_images=100&model={MODEL}"
        with balancing([balanced.a.address, f"{odd.host}:{odd.port}"], ready=wanted) as balancer:
            wait_until(lambda: balancer.up() == {"a"})
            assert {httpx.get(f"{balancer.url}/healthz").status_code for _ in range(4)} == {200}
            assert re.search(r"server replicas/b failed.*max_batch_images is 7, not 100", balancer.log.read_text())


def test_a_browser_stays_with_its_replica_and_programs_do_not(balanced):
    with httpx.Client(base_url=balanced.balancer.url) as browser:
        for _ in range(6):
            browser.get("/")
        assert sorted(int(row["stot"]) for row in balanced.balancer.replicas("page").values()) == [0, 6]
    with httpx.Client(base_url=balanced.balancer.url) as program:
        for _ in range(6):
            program.get("/v1/models")
        assert not program.cookies and min(balanced.served().values()) == 3


def test_where_no_replica_is_there_the_answer_is_a_problem_that_says_when_to_come_back():
    with balancing([NOWHERE, NOWHERE]) as balancer:
        answer = httpx.get(f"{balancer.url}/v1/models", timeout=PATIENCE)
    assert answer.status_code == 503 and int(answer.headers["retry-after"]) >= 1
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:concord:problem:unavailable" and answer.json()["status"] == 503


def test_clients_that_speak_grpc_are_shared_out_and_lose_nothing_with_a_triton_that_ends(tmp_path):
    with ExitStack() as stack:
        tritons, facades = [], []
        for name in ("a", "b"):
            write_instant(tmp_path / name, MODEL, seconds=SHORT)
            tritons.append(stack.enter_context(EmbeddedServer([tmp_path / name], ports=ANY)))
            settings = Settings(triton_url=tritons[-1].grpc_url, page=False, probe_interval=1)
            facades.append(stack.enter_context(running(settings)))
        for each in facades:
            each.wait_until(lambda each=each: each.app.state.readiness.ready)
        addresses, grpc = [f"{each.host}:{each.port}" for each in facades], [each.grpc_url for each in tritons]
        balancer = stack.enter_context(balancing(addresses, grpc))
        client = stack.enter_context(Client(f"{HOST}:{balancer.grpc_port}"))
        clients = stack.enter_context(ThreadPoolExecutor(CLIENTS))

        def harmonized(_: int) -> bytes:
            return client.harmonize(FILES["image"], mask=FILES["mask"]).image

        def served() -> list[int]:
            return [int(row["stot"]) for row in balancer.replicas("tritons").values()]

        harmonized(0)
        before = served()
        assert set(clients.map(harmonized, range(12))) == {FILES["image"]}
        assert min(after - then for after, then in zip(served(), before, strict=True)) >= 4
        asked = [clients.submit(harmonized, number) for number in range(24)]
        wait_until(lambda: min(int(row["scur"]) for row in balancer.replicas("tritons").values()) > 0)
        for each in tritons[1].processes():
            each.kill()
        assert {each.result() for each in asked} == {FILES["image"]}


@pytest.mark.skipif(shutil.which("haproxy") is None, reason="needs Debian's package haproxy")
def test_debian_s_haproxy_takes_the_configuration_too():
    with balancing([NOWHERE], [NOWHERE], binary=shutil.which("haproxy")) as balancer:
        assert balancer.replicas().keys() == {"a"} == balancer.replicas("tritons").keys()
