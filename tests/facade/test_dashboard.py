"""The dashboard is what its code makes, and every line on it is there in metrics of a real facade and Triton."""

import subprocess
import time

import pytest

from concord.server.embedded import EmbeddedServer, Ports
from deploy import dashboard
from facade.settings import Settings
from tests.facade.recorded import HTTP, STEP, Recording, needs_prometheus, prometheus, query
from tests.facade.running import running
from tests.serving.stack import harmonizing_models

OF_GPUS = "GPU"
RANGE = "5m"


def asked(expression: str) -> str:
    """An expression as Grafana would ask it, of all models."""
    return expression.replace(dashboard.MODEL, ".*").replace(dashboard.INTERVAL, RANGE)


def test_the_file_is_what_the_code_makes():
    assert dashboard.FILE.read_text() == dashboard.written(), "run: python -m deploy.dashboard"


@pytest.fixture(scope="module")
def recording(tmp_path_factory, image, mask) -> Recording:
    """Six minutes of harmonized photographs and of refusals."""
    repository = harmonizing_models(tmp_path_factory.mktemp("recorded"))
    with (
        EmbeddedServer([repository], ports=Ports(0, 0, 0)) as server,
        running(Settings(triton_url=server.grpc_url, page=False)) as facade,
    ):
        recording = Recording(concord=f"{facade.url}/metrics", triton=server.metrics_url)
        for _ in range(6):
            for sent in (mask, b"of no use"):
                files = {"image": image, "mask": sent}
                HTTP.post(f"{facade.url}/v1/harmonize", files=files, data={"format": "jpeg"})
            recording.take()
    return recording


@needs_prometheus
def test_every_line_is_found_in_recorded_metrics(recording, tmp_path):
    end = int(time.time()) - 3600
    samples, blocks = tmp_path / "samples", tmp_path / "blocks"
    blocks.mkdir()
    recording.write_openmetrics(samples, end - (recording.length - 1) * STEP)
    make = ["promtool", "tsdb", "create-blocks-from", "openmetrics", samples, blocks]
    subprocess.run(make, check=True, capture_output=True)
    (tmp_path / "empty.yaml").write_text("{}")
    has_gpu = any(name.startswith("nv_gpu_") for name in recording.series)
    with prometheus(blocks, tmp_path / "empty.yaml") as url:
        # A quantile of nothing is no number.
        found = {
            (row, line): any(float(each["value"][1]) >= 0 for each in query(url, asked(line), end))
            for row, lines in dashboard.expressions().items()
            for line in lines
        }
    assert found == {(row, line): row != OF_GPUS or has_gpu for row, line in found}


@needs_prometheus
def test_stages_are_told_by_model_and_profile(recording):
    stages = {name for name in recording.series if name.startswith("concord_stage_seconds_count")}
    for stage in ("read", "check", "queued", "inference", "encode"):
        assert any(
            f'stage="{stage}"' in each and 'model="ht"' in each and 'profile="default"' in each for each in stages
        )
