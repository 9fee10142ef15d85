"""Server-sent events of ``POST /v1/harmonize`` with ``stream=true``."""

import base64

import httpx
import numpy as np

from tests.facade.gated import RUNNING, WAITING
from tests.facade.running import PATIENCE
from tests.facade.sending import Connection, events, form_of, problem
from tests.serving.pictures import decoded, middle

OUTSIDE = middle(96, 72) == 0


def test_one_pass_is_queued_and_then_there(http, image, mask):
    answer = http.post("/v1/harmonize", files={"image": image, "mask": mask}, data={"stream": "true"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert answer.headers["cache-control"] == "no-store"
    (first, told), (last, result) = events(answer.text)
    assert (first, told) == ("queued", {"job": answer.headers["x-concord-job"], "position": 0})
    assert last == "result" and result["job"] == told["job"] and result["model"] == "ht"
    pixels = decoded(base64.b64decode(result["image"]))
    np.testing.assert_array_equal(pixels[OUTSIDE], decoded(image)[OUTSIDE])


def test_a_diffusion_shows_every_step_and_its_preview(diffusing_http, image, mask):
    fields = {"model": "diffharmony", "steps": "3", "seed": "7", "preview": "true", "stream": "true", "format": "webp"}
    told = events(diffusing_http.post("/v1/harmonize", files={"image": image, "mask": mask}, data=fields).text)
    assert [name for name, _ in told] == ["queued", "step", *(3 * ["step", "preview"]), "result"]
    steps = [(event["step"], event["total"]) for name, event in told if name == "step"]
    assert steps == [(0, 3), (1, 3), (2, 3), (3, 3)]
    previews = [decoded(base64.b64decode(event["image"])) for name, event in told if name == "preview"]
    assert all(preview.ndim == 3 for preview in previews)
    assert told[-1][1]["seed"] == 7 and told[-1][1]["format"] == "webp"


def test_a_seed_gives_its_picture_again_streamed_or_not(diffusing_http, image, mask):
    fields = {"model": "diffharmony", "steps": "2", "seed": str(2**63 - 1)}
    sent = {"image": image, "mask": mask}
    picture = diffusing_http.post("/v1/harmonize", files=sent, data=fields)
    streamed = events(diffusing_http.post("/v1/harmonize", files=sent, data=fields | {"stream": "1"}).text)
    assert picture.headers["x-concord-seed"] == str(2**63 - 1)
    assert base64.b64decode(streamed[-1][1]["image"]) == picture.content


def test_a_drawn_seed_is_told(diffusing_http, image):
    fields = {"model": "diffharmony", "steps": "1", "text": "the square"}
    answer = diffusing_http.post("/v1/harmonize", files={"image": image}, data=fields)
    assert answer.status_code == 200 and 0 <= int(answer.headers["x-concord-seed"]) < 2**63
    assert 0 <= float(answer.headers["x-concord-score"]) <= 1


def test_what_is_refused_before_the_first_event_is_no_stream(http, image, mask):
    answer = http.post("/v1/harmonize", files={"image": image, "mask": mask}, data={"stream": "1", "model": "x"})
    assert problem(answer)[:2] == (404, "unknown_model")


def test_what_fails_later_is_the_last_event(http, image):
    small = {"image": image, "mask": image[: len(image) // 2]}
    answer = http.post("/v1/harmonize", files=small, data={"stream": "1"})
    (first, _), (last, told) = events(answer.text)
    assert answer.status_code == 200 and (first, last) == ("queued", "error")
    assert (told["type"], told["status"]) == ("urn:concord:problem:invalid_image", 400)
    assert told["field"] == "mask" and told["request_id"] == answer.headers["x-request-id"]


def test_a_place_in_the_queue_is_told_whenever_it_changes(gate, image, mask):
    request = form_of({"image": image, "mask": mask})
    busy = [Connection(gate.facade) for _ in range(RUNNING)]
    for connection in busy:
        connection.post(request)
    gate.wait_for(RUNNING, 0)
    before = Connection(gate.facade)
    before.post(request)
    gate.wait_for(RUNNING, 1)
    sent = {"files": {"image": image, "mask": mask}, "data": {"stream": "1"}, "timeout": PATIENCE}
    with httpx.stream("POST", f"{gate.facade.url}/v1/harmonize", **sent) as answer:
        lines = answer.iter_lines()
        told = [next(lines) for _ in range(2)]
        assert told[0] == "event: queued" and '"position":2' in told[1]
        before.close()
        gate.wait_for(RUNNING, 1)
        gate.open()
        text = "\n".join([*told, *lines])
    positions = [event["position"] for name, event in events(text) if name == "queued"]
    assert positions == [2, 1, 0] and events(text)[-1][0] == "result"
    for connection in busy:
        assert connection.status() == 200
        connection.close()


def test_a_full_queue_is_no_stream(gate, image, mask):
    connections = [Connection(gate.facade) for _ in range(RUNNING + WAITING)]
    for connection in connections:
        connection.post(form_of({"image": image, "mask": mask}))
    gate.wait_for(RUNNING, WAITING)
    for stream in ("0", "1"):
        sent = {"files": {"image": image, "mask": mask}, "data": {"stream": stream}}
        answer = httpx.post(f"{gate.facade.url}/v1/harmonize", **sent)
        assert problem(answer)[:2] == (503, "too_busy") and int(answer.headers["retry-after"]) >= 1
    gate.open()
    for connection in connections:
        assert connection.status() == 200
        connection.close()
