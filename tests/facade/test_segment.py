"""``POST /v1/segment`` against the real server."""

import base64

import pytest

from tests.facade.sending import problem
from tests.serving.pictures import decoded


def test_the_mask_is_the_answer(http, image):
    answer = http.post("/v1/segment", files={"image": image}, data={"text": "the red square"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert decoded(answer.content).shape == (72, 96)
    assert set(decoded(answer.content).ravel()) <= {0, 255}
    assert 0 <= float(answer.headers["x-concord-score"]) <= 1
    assert answer.headers["x-concord-truncated"] == "false" and answer.headers["x-concord-model"] == "cris"


def test_json_holds_the_same(http, image):
    sent = {"files": {"image": image}, "data": {"text": "the red square"}}
    picture = http.post("/v1/segment", **sent)
    told = http.post("/v1/segment", **sent, headers={"Accept": "application/json"}).json()
    assert base64.b64decode(told["mask"]) == picture.content
    assert told["score"] == pytest.approx(float(picture.headers["x-concord-score"]), rel=1e-5)
    assert told["model"] == "cris" and set(told["seconds"]) == {"read", "queued", "inference", "encode"}


@pytest.mark.parametrize(
    ("files", "fields", "expected"),
    [
        ({"image": "image"}, {}, (400, "missing_field", "text")),
        ({}, {"text": "x"}, (415, "unsupported_media_type", "Content-Type")),
        ({"mask": "image"}, {"text": "x"}, (400, "unexpected_field", "mask")),
        ({"image": b"x"}, {"text": "x"}, (400, "invalid_image", "image")),
        ({"image": "image"}, {"text": ""}, (400, "invalid_text", "text")),
        ({"image": "image"}, {"text": 10_001 * "x"}, (400, "invalid_text", "text")),
        ({"image": "image"}, {"text": 70_000 * "x"}, (413, "request_too_large", "text")),
        ({"image": "image"}, {"text": "x", "timeout": "-1"}, (400, "invalid_setting", "timeout")),
    ],
    ids=["no text", "no form", "a mask", "no picture", "empty", "long", "longer", "no time"],
)
def test_bad_input_is_refused_by_its_field(http, image, files, fields, expected):
    sent = {name: image if each == "image" else each for name, each in files.items()}
    assert problem(http.post("/v1/segment", files=sent, data=fields))[:3] == expected
