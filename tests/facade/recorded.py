"""Metrics recorded from a running facade and its Triton, as Debian's Prometheus and promtool read them.

What takes minutes is recorded in seconds: the samples are real, and stamped as if a minute lay between them.
"""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from concord.server.embedded import Ports
from tests.facade.running import PATIENCE

OBSERVE = Path(__file__).parents[2] / "deploy" / "observe"
STEP = 60
"""Seconds between two samples, as they are stamped."""

INSTANCE = "recorded"
# As they stand there: the parser of prometheus_client gives counters names that Prometheus does not know.
_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
HTTP = httpx.Client(timeout=PATIENCE)
"""Of all requests: to make one takes longer than what it asks."""

needs_prometheus = pytest.mark.skipif(
    not (shutil.which("prometheus") and shutil.which("promtool")),
    reason="prometheus and promtool are not here: install Debian's package prometheus",
)


class Recording:
    """Samples by series, at the same times for all; None where a series had none.

    Args:
        targets: addresses of metrics, by the job that Prometheus knows them by.
    """

    def __init__(self, **targets: str) -> None:
        self.targets = targets
        self.length = 0
        self.series: dict[str, list[str | None]] = {}

    def take(self) -> None:
        """Takes one sample of every series, and notes which of the jobs answered."""
        for job, url in self.targets.items():
            try:
                text = HTTP.get(url).text
            except httpx.TransportError:
                text = ""
            self._note("up", "", job, "1" if text else "0")
            for name, labels, value in _SAMPLE.findall(text):
                self._note(name, labels, job, value)
        self.length += 1
        for values in self.series.values():
            values += [None] * (self.length - len(values))

    def _note(self, name: str, labels: str, job: str, value: str) -> None:
        added = f'job="{job}",instance="{INSTANCE}"'
        values = self.series.setdefault(f"{name}{{{labels},{added}}}" if labels else f"{name}{{{added}}}", [])
        values += [None] * (self.length - len(values)) + [value]

    def promtool_series(self) -> list[dict[str, str]]:
        """The samples as ``promtool test rules`` takes them; a series that ends is stale, as Prometheus makes it."""
        return [
            {"series": name, "values": " ".join(_written(values, at) for at in range(len(values)))}
            for name, values in self.series.items()
        ]

    def write_openmetrics(self, path: Path, begin: int) -> None:
        """Writes the samples with their times, the first in seconds since 1970."""
        lines = [
            f"{name} {value} {begin + at * STEP}"
            for name, values in sorted(self.series.items())
            for at, value in enumerate(values)
            if value is not None
        ]
        path.write_text("\n".join([*lines, "# EOF\n"]))


def _written(values: list[str | None], at: int) -> str:
    value = values[at]
    if value is not None:
        return value
    return "stale" if at and values[at - 1] is not None else "_"


def rules() -> dict[str, dict[str, Any]]:
    """The alert rules by their names."""
    groups = yaml.safe_load((OBSERVE / "alerts.yaml").read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def firing(recording: Recording, folder: Path) -> set[str]:
    """The alerts that fire at the end of a recording, as ``promtool test rules`` says, which is told that none does."""
    at = f"{(recording.length - 1) * STEP}s"
    silent = [{"eval_time": at, "alertname": name, "exp_alerts": []} for name in rules()]
    test = {"interval": f"{STEP}s", "input_series": recording.promtool_series(), "alert_rule_test": silent}
    file = folder / "test.yaml"
    # JSON is YAML, too.
    file.write_text(
        json.dumps({"rule_files": [str(OBSERVE / "alerts.yaml")], "evaluation_interval": f"{STEP}s", "tests": [test]})
    )
    ran = subprocess.run(["promtool", "test", "rules", file], capture_output=True, text=True)
    found = set(re.findall(r"alertname: (\w+), time", ran.stdout + ran.stderr))
    assert bool(found) == bool(ran.returncode), ran.stdout + ran.stderr
    return found


@contextmanager
def prometheus(folder: Path, config: Path) -> Iterator[str]:
    """Prometheus with what is stored in a folder, on a free port of loopback; its address."""
    address = f"127.0.0.1:{Ports(grpc=0, metrics=0).chosen().grpc}"
    flags = [f"--config.file={config}", f"--storage.tsdb.path={folder}", f"--web.listen-address={address}"]
    # What is stored may be of any time.
    flags.append("--storage.tsdb.retention.time=100y")
    with (folder / "log").open("wb") as log, subprocess.Popen(["prometheus", *flags], stderr=log) as process:
        try:
            wait_ready(f"http://{address}/-/ready", process)
            yield f"http://{address}"
        finally:
            process.terminate()


def wait_ready(url: str, process: "subprocess.Popen[bytes]") -> None:
    """Returns when it answers 200."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            if HTTP.get(url).status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert process.poll() is None and time.monotonic() < end, "it did not start"
        time.sleep(0.05)


def query(url: str, expression: str, at: float | None = None) -> list[dict[str, Any]]:
    """What Prometheus answers to an expression, now or at a time."""
    asked = {"query": expression} | ({} if at is None else {"time": at})
    answer = HTTP.get(f"{url}/api/v1/query", params=asked).json()
    assert answer["status"] == "success", (expression, answer)
    return answer["data"]["result"]
