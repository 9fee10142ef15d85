"""The rule that replicas are added by, in the real Prometheus, on metrics recorded from the facade's own."""

import asyncio
import json
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import prometheus_client
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from deploy.manifests import OVERLAYS, rendered
from facade.watch.observe import Metrics
from facade.work.admission import Admission
from facade.work.stages import Stages

SCALING = OVERLAYS.parent / "scaling"
RULES = SCALING / "rules.yaml"
[GROUP] = yaml.safe_load(RULES.read_text())["groups"]
[RULE] = GROUP["rules"]
RECORDED = RULE["record"]
SECONDS = int(GROUP["interval"].removesuffix("s"))
MINUTE = 60 // SECONDS
MODELS = {"fast": 4, "slow": 2}
QUEUE = 16

pytestmark = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="Prometheus is not installed: apt-get install prometheus"
)


@dataclass
class Replica:
    """A facade's queues and its metrics, as the pods of a namespace have them."""

    namespace: str = "default"
    admission: Admission = field(default_factory=lambda: Admission(QUEUE))

    def __post_init__(self) -> None:
        self.admission.know(MODELS)
        self.metrics = Metrics(self.admission, Stages(lambda _: ""), lambda: True)

    @contextmanager
    def owing(self, **requests: int) -> Iterator[None]:
        """Requests that were accepted, by model: as many as may run, and the others wait."""
        waiting = [
            asyncio.create_task(self.admission.take(model)) for model, count in requests.items() for _ in range(count)
        ]
        yield
        for task in waiting:
            task.cancel()


class Recording:
    """Scrapes, at the rule's interval, of every replica that is there at the time."""

    def __init__(self) -> None:
        self.scrapes = 0
        self._series: dict[tuple[str, ...], dict[int, float]] = defaultdict(dict)

    async def scrape(self, *replicas: Replica, minutes: float = 0) -> None:
        """Once, or for so many minutes."""
        await asyncio.sleep(0)  # the requests take their places
        for _ in range(max(1, round(minutes * MINUTE))):
            for replica in replicas:
                text = prometheus_client.generate_latest(replica.metrics.registry).decode()
                for sample in (each for family in text_string_to_metric_families(text) for each in family.samples):
                    if sample.name in RULE["expr"]:
                        pod = {"namespace": replica.namespace, "pod": f"{id(replica):x}"}
                        labels = (f'{name}="{value}"' for name, value in {**sample.labels, **pod}.items())
                        self._series[(sample.name, *labels)][self.scrapes] = sample.value
            self.scrapes += 1

    def series(self) -> list[dict[str, str]]:
        """As promtool takes them; what a replica that is gone no longer says is `stale`."""
        return [
            {"series": f"{name}{{{','.join(labels)}}}", "values": " ".join(self._values(values))}
            for (name, *labels), values in self._series.items()
        ]

    def _values(self, values: Mapping[int, float]) -> Iterator[str]:
        for scrape in range(self.scrapes):
            gone = "stale" if scrape - 1 in values else "_"
            yield f"{values[scrape]:g}" if scrape in values else gone


@pytest.fixture(scope="module")
def autoscaler() -> dict[str, Any]:
    return next(each["spec"] for each in rendered(OVERLAYS / "cpu") if each["kind"] == "HorizontalPodAutoscaler")


def check(recording: Recording, expression: str, expected: list[dict[str, Any]], folder: Path) -> None:
    """Has promtool evaluate the rule on a recording, and an expression at its end."""
    test = {
        "rule_files": [str(RULES)],
        "evaluation_interval": f"{SECONDS}s",
        "tests": [
            {
                "interval": f"{SECONDS}s",
                "input_series": recording.series(),
                "promql_expr_test": [
                    {
                        "expr": expression,
                        "eval_time": f"{(recording.scrapes - 1) * SECONDS}s",
                        "exp_samples": expected,
                    }
                ],
            }
        ],
    }
    (folder / "test.yaml").write_text(json.dumps(test))
    ran = subprocess.run(["promtool", "test", "rules", folder / "test.yaml"], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.fixture
def replicas_wanted(autoscaler, tmp_path):
    """Checks how many replicas the autoscaler wants of each namespace at the end of a recording."""
    least, most = autoscaler["minReplicas"], autoscaler["maxReplicas"]
    target = autoscaler["metrics"][0]["external"]["target"]["averageValue"]

    def wanted(recording: Recording, **namespaces: int) -> None:
        # As Kubernetes does for a target of the type AverageValue.
        expression = f"clamp(ceil({RECORDED} / {target}), {least}, {most})"
        expected = [{"labels": f'{{namespace="{name}"}}', "value": count} for name, count in namespaces.items()]
        check(recording, expression, expected, tmp_path)

    return wanted


def test_prometheus_takes_the_rules():
    ran = subprocess.run(["promtool", "check", "rules", RULES], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


async def idle(recording: Recording, *replicas: Replica) -> None:
    await recording.scrape(*replicas, minutes=2)


def test_what_is_recorded_is_what_the_replicas_have_accepted(tmp_path):
    async def record() -> Recording:
        recording, one, other = Recording(), Replica(), Replica()
        with one.owing(fast=7, slow=2), other.owing(slow=5):
            await recording.scrape(one, other, minutes=2)
        return recording

    expected = [{"labels": f'{RECORDED}{{namespace="default"}}', "value": 7 + 2 + 5}]
    check(asyncio.run(record()), RECORDED, expected, tmp_path)


def test_a_burst_of_requests_gets_the_replicas_that_answer_it_without_a_queue(replicas_wanted):
    async def record() -> Recording:
        recording, one, other = Recording(), Replica(), Replica()
        await idle(recording, one, other)
        with one.owing(slow=5 * MODELS["slow"]):
            await recording.scrape(one, other, minutes=2)
        return recording

    replicas_wanted(asyncio.run(record()), default=5)


def test_replicas_are_added_before_a_request_is_refused(replicas_wanted, autoscaler):
    async def record() -> Recording:
        recording, replicas = Recording(), [Replica() for _ in range(autoscaler["minReplicas"])]
        every_queue_full = {"slow": MODELS["slow"] + QUEUE}
        with replicas[0].owing(**every_queue_full), replicas[1].owing(**every_queue_full):
            await recording.scrape(*replicas, minutes=2)
        return recording

    replicas_wanted(asyncio.run(record()), default=autoscaler["maxReplicas"])


def test_a_quiet_minute_and_a_blip_want_the_fewest(replicas_wanted, autoscaler):
    async def record() -> Recording:
        recording, one, other = Recording(), Replica(), Replica()
        await idle(recording, one, other)
        with one.owing(fast=3 * MODELS["fast"]):
            await recording.scrape(one, other)
        await recording.scrape(one, other, minutes=0.5)
        return recording

    replicas_wanted(asyncio.run(record()), default=autoscaler["minReplicas"])


def test_what_a_replica_owed_that_is_gone_is_forgotten(replicas_wanted, autoscaler):
    async def record() -> Recording:
        recording, gone, left = Recording(), Replica(), Replica()
        with gone.owing(slow=QUEUE):
            await recording.scrape(gone, left, minutes=1)
        await recording.scrape(left, minutes=1.5)
        return recording

    replicas_wanted(asyncio.run(record()), default=autoscaler["minReplicas"])


def test_one_namespace_s_requests_are_not_another_s(replicas_wanted, autoscaler):
    async def record() -> Recording:
        recording, busy, quiet = Recording(), Replica("production"), Replica("trial")
        with busy.owing(slow=3 * MODELS["slow"]):
            await recording.scrape(busy, quiet, minutes=2)
        return recording

    replicas_wanted(asyncio.run(record()), production=3, trial=autoscaler["minReplicas"])


def test_the_adapter_hands_the_recorded_metric_to_the_autoscaler(autoscaler):
    [rule] = yaml.safe_load((SCALING / "adapter.yaml").read_text())["rules"]["external"]
    assert rule["seriesQuery"] == RECORDED
    assert rule["name"]["as"] == autoscaler["metrics"][0]["external"]["metric"]["name"]
    _, service = rendered(OVERLAYS.parent / "kserve")
    [metric] = service["spec"]["predictor"]["autoScaling"]["metrics"]
    assert metric["external"]["metric"]["query"] == f"sum({RECORDED})"
