"""What Prometheus is told: every request by route and model, the queue, rejections by reason; labels are bounded."""

import asyncio
import secrets
from collections.abc import Iterator

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from facade.watch.observe import Metrics
from facade.work.admission import Admission
from facade.work.stages import Stages
from tests.facade.running import PATIENCE

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(http: httpx.Client) -> Samples:
    answer = http.get("/metrics")
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        if sample.name.startswith("concord_")
    }


class Growth:
    """How much each sample has grown since it was made."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http
        self._before = samples(http)

    def of(self, name: str, **labels: str) -> float:
        key = (name, frozenset(labels.items()))
        return samples(self._http).get(key, 0.0) - self._before.get(key, 0.0)


@pytest.fixture
def growth(http) -> Iterator[Growth]:
    return Growth(http)


def test_a_request_is_counted_by_route_model_and_status(http, growth, image, mask):
    assert http.post("/v1/harmonize", files={"image": image, "mask": mask}).status_code == 200
    asked = {"route": "/v1/harmonize", "model": "ht"}
    assert growth.of("concord_requests_total", method="POST", status="200", **asked) == 1
    assert growth.of("concord_request_seconds_count", **asked) == 1
    assert growth.of("concord_request_seconds_bucket", le="+Inf", **asked) == 1
    assert growth.of("concord_request_seconds_sum", **asked) > 0


def test_a_rejection_is_counted_by_its_reason(http, growth, image):
    http.post("/v1/harmonize", files={"image": image})
    http.post("/v1/harmonize", files={"image": b"none", "mask": b"none"})
    http.delete("/v1/jobs/none")
    for route, reason in (
        ("/v1/harmonize", "missing_field"),
        ("/v1/harmonize", "invalid_image"),
        ("/v1/jobs/{job}", "unknown_job"),
    ):
        assert growth.of("concord_rejections_total", route=route, reason=reason) >= 1


def test_what_callers_make_up_is_no_label(http, image, mask):
    def ask() -> None:
        word = secrets.token_hex(4)
        http.get(f"/{word}")
        http.get(f"/v1/{word}?{word}={word}")
        http.delete(f"/v1/jobs/{word}")
        http.request(word.upper(), "/healthz")
        http.post("/v1/harmonize", files={"image": image, "mask": mask}, data={"model": word})

    ask()
    before = samples(http).keys()
    for _ in range(5):
        ask()
    assert samples(http).keys() == before


def test_an_unknown_model_is_counted_as_other():
    metrics = Metrics(Admission(queue=0), Stages(lambda _: ""), lambda: True)
    metrics.count("POST", "/v1/harmonize", "made up", 404, 0.1, "unknown_model")
    labels = {"method": "POST", "route": "/v1/harmonize", "model": "other", "status": "404"}
    assert metrics.registry.get_sample_value("concord_requests_total", labels) == 1


def test_the_queue_and_what_is_in_flight_are_seen_as_they_are(facade, http):
    admission = facade.service.admission
    limit = admission.limits["cris"]

    def gauge(name: str) -> float:
        return samples(http)[name, frozenset({("model", "cris")})]

    held = [facade.run(admission.take("cris")) for _ in range(limit)]
    waiting = asyncio.run_coroutine_threadsafe(admission.take("cris"), facade.loop)
    facade.wait_until(lambda: admission.waiting["cris"] == 1)
    try:
        assert (gauge("concord_in_flight"), gauge("concord_queue_depth")) == (limit, 1)
    finally:
        for place in held:
            facade.call(place.leave)
        facade.call(waiting.result(PATIENCE).leave)
    assert (gauge("concord_in_flight"), gauge("concord_queue_depth")) == (0, 0)
