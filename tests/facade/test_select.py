"""``POST /v1/select`` against the real server."""

import base64

import numpy as np
import pytest

from tests.facade.sending import problem
from tests.serving.pictures import decoded, encoded

SQUARE = np.s_[20:50, 20:50]


@pytest.fixture(scope="module")
def scene() -> bytes:
    """A red square on a green ground."""
    pixels = np.random.default_rng(1).integers(0, 12, (72, 96, 3)).astype(np.uint8)
    pixels[..., 1] += 120
    pixels[SQUARE] = (90, 20, 10)
    return encoded(pixels)


@pytest.mark.parametrize(
    "given",
    [
        {"points": "30,30,1"},
        {"points": ["30", "30", "1"]},
        {"points": ["30, 30, 1", "80 60 0"]},
        {"points": "[[30, 30, 1], [80, 60, 0]]"},
        {"box": "18,18,53,53"},
    ],
    ids=["with commas", "one by one", "point by point", "as JSON", "a box"],
)
def test_the_best_mask_is_the_answer(http, scene, given):
    answer = http.post("/v1/select", files={"image": scene}, data=given)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    mask = decoded(answer.content)
    assert mask.shape == (72, 96) and set(np.unique(mask)) <= {0, 255}
    assert (mask[SQUARE] == 255).mean() > 0.95 and (mask == 255).sum() < 1000
    scores = [float(score) for score in answer.headers["x-concord-scores"].split(",")]
    assert scores == sorted(scores, reverse=True) and answer.headers["x-concord-model"] == "grabcut"


def test_json_holds_all_masks(http, scene):
    sent = {"files": {"image": scene}, "data": {"points": "30,30,1"}}
    best = http.post("/v1/select", **sent).content
    told = http.post("/v1/select", **sent, headers={"Accept": "application/json"}).json()
    masks = [base64.b64decode(each) for each in told["masks"]]
    assert masks[0] == best and len(masks) == len(told["scores"])
    assert {decoded(mask).shape for mask in masks} == {(72, 96)}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, (400, "invalid_setting", "points")),
        ({"points": "30,30"}, (400, "invalid_points", "points")),
        ({"points": "here"}, (400, "invalid_setting", "points")),
        ({"points": "30,30,0"}, (400, "invalid_points", "points")),
        ({"points": "3e9,30,1"}, (400, "invalid_points", "points")),
        ({"points": "nan,30,1"}, (400, "invalid_points", "points")),
        ({"points": "1e999,30,1"}, (400, "invalid_points", "points")),
        ({"points": "30,30,1," * 64 + "30,30,1"}, (400, "invalid_points", "points")),
        ({"box": "30,30,20,40"}, (400, "invalid_points", "box")),
        ({"points": "30,30,1", "box": "1,2,3"}, (400, "invalid_points", "box")),
        ({"points": "30,30,1", "text": "the square"}, (400, "unexpected_field", "text")),
    ],
    ids=[
        "nothing",
        "two numbers",
        "words",
        "only others",
        "outside",
        "NaN",
        "infinite",
        "many",
        "no area",
        "three",
        "text",
    ],
)
def test_bad_input_is_refused_by_its_field(http, scene, fields, expected):
    assert problem(http.post("/v1/select", files={"image": scene}, data=fields))[:3] == expected
