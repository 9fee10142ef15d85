"""The alert rules, asked with promtool about metrics of a real facade and Triton, in peace and in every trouble."""

import socket
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
import yaml

from benchmarks.load.identity_model import write_instant
from concord.server.embedded import EmbeddedServer, Ports
from concord_client import Client
from concord_client.errors import ConcordClientError
from facade.problems import KINDS
from facade.settings import Settings
from tests.facade.gated import MODEL, Gated, gated
from tests.facade.recorded import HTTP, OBSERVE, Recording, firing, needs_prometheus, prometheus, query, rules
from tests.facade.running import running
from tests.serving.stack import wait_until

pytestmark = needs_prometheus

LONG = 12
"""Minutes, more than any rule waits."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """A facade that gives Triton one request at a time."""
    with gated(tmp_path_factory.mktemp("gated"), concurrency={MODEL: 1}, queue=4) as running:
        yield running


def recording_of(stack: Gated) -> Recording:
    return Recording(concord=f"{stack.facade.url}/metrics", triton=stack.server.metrics_url)


def record(recording: Recording, minutes: int, ask: Callable[[], object] = lambda: None) -> None:
    """Takes a sample a minute, after what is asked in it."""
    for _ in range(minutes):
        ask()
        recording.take()


def asking(url: str, image: bytes, mask: bytes, **fields: str) -> Callable[[], int]:
    """What asks for a photograph to be harmonized, and answers the status."""
    sent = {"files": {"image": image, "mask": mask}, "data": fields}
    return lambda: HTTP.post(f"{url}/v1/harmonize", **sent).status_code


def together(stack: Gated, count: int, image: bytes, mask: bytes) -> None:
    """Requests that are all there before the first is answered, and wait as long again as it took until they were."""
    stack.close()
    began = time.monotonic()
    with ThreadPoolExecutor(count) as callers:
        asked = [callers.submit(asking(stack.facade.url, image, mask)) for _ in range(count)]
        admission = stack.facade.service.admission
        stack.facade.wait_until(lambda: admission.waiting[MODEL] + sum(each.done() for each in asked) == count - 1)
        time.sleep(max(0.05, time.monotonic() - began))
        stack.open()


def test_nothing_fires_while_requests_are_answered(stack, image, mask, tmp_path):
    recording = recording_of(stack)
    record(recording, LONG, asking(stack.facade.url, image, mask))
    assert firing(recording, tmp_path) == set()


def test_callers_errors_alone_make_nothing_fire(stack, image, tmp_path):
    recording = recording_of(stack)
    record(recording, LONG, asking(stack.facade.url, image, b"of no use"))
    assert firing(recording, tmp_path) == set()


def test_a_facade_whose_queue_is_long_waits_and_one_whose_queue_overflows_refuses(stack, image, mask, tmp_path):
    recording = recording_of(stack)
    record(recording, LONG, lambda: together(stack, 5, image, mask))
    assert firing(recording, tmp_path) == {"ConcordWaits"}
    record(recording, LONG, lambda: together(stack, 6, image, mask))
    assert firing(recording, tmp_path) == {"ConcordWaits", "ConcordRefuses"}


def test_a_triton_that_is_gone_and_then_the_facade_too(image, mask, tmp_path):
    with ExitStack() as stopped, gated(tmp_path / "gated") as stack:
        settings = Settings(triton_url=stack.server.grpc_url, page=False, probe_interval=0.2)
        facade = stopped.enter_context(running(settings))
        facade.wait_until(lambda: facade.app.state.readiness.ready)
        recording = Recording(concord=f"{facade.url}/metrics", triton=stack.server.metrics_url)
        ask = asking(facade.url, image, mask, timeout="1")
        record(recording, 2, ask)
        stack.server.stop(drain=False)
        facade.wait_until(lambda: not facade.app.state.readiness.ready)
        record(recording, LONG, ask)
        assert firing(recording, tmp_path) == {"TritonDown", "ConcordNotReady", "ConcordFails"}
        stopped.close()
        record(recording, LONG)
        assert firing(recording, tmp_path) == {"TritonDown", "ConcordDown"}


def test_a_replica_that_does_not_reach_the_store_of_rates(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        rates = f"redis://127.0.0.1:{silent.getsockname()[1]}"
        with gated(tmp_path / "gated", rates=rates) as stack:
            recording = recording_of(stack)
            record(recording, LONG)
            assert firing(recording, tmp_path) == {"ConcordCountsAlone"}


_BROKEN = """class TritonPythonModel:
    def execute(self, requests):
        raise RuntimeError("broken")
"""


def test_a_model_that_fails_more_often_than_it_answers(image, mask, tmp_path):
    write_instant(tmp_path / "models", "broken")
    (tmp_path / "models" / "broken" / "1" / "model.py").write_text(_BROKEN)
    with EmbeddedServer([tmp_path / "models"], ports=Ports(0, 0, 0)) as server, Client(server.grpc_url) as client:
        recording = Recording(triton=server.metrics_url)

        def fail() -> None:
            with pytest.raises(ConcordClientError):
                client.harmonize(image, mask=mask)

        record(recording, LONG, fail)
        assert firing(recording, tmp_path) == {"TritonModelFails"}


def test_the_rules_name_problems_that_there_are():
    reasons = {
        reason
        for rule in rules().values()
        for words in _between(rule["expr"], 'reason=~"', '"')
        for reason in words.split("|")
    }
    assert reasons and reasons <= KINDS.keys()


def _between(text: str, begin: str, end: str) -> list[str]:
    return [each.partition(end)[0] for each in text.split(begin)[1:]]


def test_prometheus_takes_the_configuration_and_finds_the_defaults_of_the_settings():
    checked = subprocess.run(
        ["promtool", "check", "config", OBSERVE / "prometheus.yaml"], capture_output=True, text=True
    )
    assert checked.returncode == 0 and f"{len(rules())} rules found" in checked.stdout, checked.stdout + checked.stderr
    jobs = yaml.safe_load((OBSERVE / "prometheus.yaml").read_text())["scrape_configs"]
    ports = {job["job_name"]: job["static_configs"][0]["targets"][0].rpartition(":")[2] for job in jobs}
    fields = Settings.model_fields
    assert ports == {"concord": str(fields["port"].default), "triton": str(fields["metrics_port"].default)}


def test_prometheus_reads_both_and_evaluates_every_rule(stack, tmp_path):
    config = yaml.safe_load((OBSERVE / "prometheus.yaml").read_text())
    config["global"] = dict.fromkeys(config["global"], "1s")
    config["rule_files"] = [str(OBSERVE / "alerts.yaml")]
    urls = {"concord": stack.facade.url, "triton": f"http://127.0.0.1:{stack.server.ports.metrics}"}
    for job in config["scrape_configs"]:
        job["static_configs"][0]["targets"] = [urls[job["job_name"]].removeprefix("http://")]
    (tmp_path / "prometheus.yaml").write_text(yaml.safe_dump(config))
    with prometheus(tmp_path, tmp_path / "prometheus.yaml") as url:
        wait_until(lambda: {each["metric"]["job"] for each in query(url, "up == 1")} == set(urls))
        wait_until(lambda: {each["health"] for each in _evaluated(url).values()} == {"ok"})
        assert _evaluated(url).keys() == rules().keys()


def _evaluated(url: str) -> dict[str, dict[str, object]]:
    groups = HTTP.get(f"{url}/api/v1/rules").json()["data"]["groups"]
    return {rule["name"]: rule for group in groups for rule in group["rules"]}
