"""``POST /v1/images/edits`` over plain HTTP: masks the other way round, every parameter, and what is refused."""

import base64

import numpy as np
import pytest

from tests.facade.conftest import HEIGHT, WIDTH
from tests.serving.pictures import decoded, encoded, middle, photograph

EDITS = "/v1/images/edits"
INSIDE = middle(WIDTH, HEIGHT) == 255


@pytest.fixture(scope="session")
def transparent() -> bytes:
    """OpenAI's mask of the middle: transparent there."""
    return encoded(np.dstack([photograph(WIDTH, HEIGHT), 255 - middle(WIDTH, HEIGHT)]))


def picture(answer) -> bytes:
    assert answer.status_code == 200, answer.text
    (only,) = answer.json()["data"]
    return base64.b64decode(only["b64_json"])


def test_transparent_is_what_changes(http, image, mask, transparent):
    ours = http.post("/v1/harmonize", files={"image": image, "mask": mask})
    theirs = http.post(EDITS, files={"image": image, "mask": transparent})
    assert picture(theirs) == ours.content
    changed = (decoded(ours.content) != decoded(image)).any(axis=2)
    assert changed.any() and not changed[~INSIDE].any()


def test_a_mask_goes_before_the_prompt(http, image, transparent):
    alone = http.post(EDITS, files={"image": image, "mask": transparent})
    both = http.post(EDITS, files={"image": image, "mask": transparent}, data={"prompt": "the red ball"})
    assert picture(both) == picture(alone)


def test_a_prompt_is_a_referring_expression(http, image):
    ours = http.post("/v1/harmonize", files={"image": image}, data={"text": "the red ball"})
    theirs = http.post(EDITS, files={"image": image}, data={"prompt": "the red ball"})
    assert picture(theirs) == ours.content


def test_an_answer_says_what_it_is(http, image):
    answer = http.post(EDITS, files={"image": image}, data={"prompt": "the red ball"})
    told = answer.json()
    assert (told["size"], told["output_format"]) == (f"{WIDTH}x{HEIGHT}", "png")
    assert answer.headers["x-concord-job"] and isinstance(told["created"], int)


@pytest.mark.parametrize("output_format, beginning", [("jpeg", b"\xff\xd8"), ("webp", b"RIFF"), ("png", b"\x89PNG")])
def test_pictures_come_in_the_format_that_was_asked_for(http, image, output_format, beginning):
    form = {"prompt": "the red ball", "output_format": output_format}
    assert picture(http.post(EDITS, files={"image": image}, data=form)).startswith(beginning)


def test_compression_is_quality(http, image):
    def size(compression: int) -> int:
        form = {"prompt": "the red ball", "output_format": "jpeg", "output_compression": str(compression)}
        return len(picture(http.post(EDITS, files={"image": image}, data=form)))

    assert size(0) < size(50) < size(100)


@pytest.mark.parametrize(
    "form",
    [
        {"size": "auto"},
        {"size": f"{WIDTH}x{HEIGHT}"},
        {"quality": "standard", "background": "opaque", "input_fidelity": "high", "moderation": "low"},
        {"user": "someone", "safety_identifier": "someone", "complexity": "high", "partial_images": "3"},
        {"model": "ht", "n": "1", "response_format": "b64_json", "stream": "false"},
    ],
)
def test_parameters_without_meaning_here_are_accepted(http, image, form):
    assert picture(http.post(EDITS, files={"image": image}, data={"prompt": "the red ball"} | form))


@pytest.mark.parametrize(
    "form, status, code, param",
    [
        ({"prompt": None}, 400, "missing_field", "prompt"),
        ({"model": "gpt-image-1"}, 404, "unknown_model", "model"),
        ({"model": ""}, 404, "unknown_model", "model"),
        ({"n": "2"}, 400, "invalid_setting", "n"),
        ({"n": "0"}, 400, "invalid_setting", "n"),
        ({"n": "5"}, 400, "invalid_setting", "n"),
        ({"n": "many"}, 400, "invalid_setting", "n"),
        ({"size": "1024x1024"}, 400, "invalid_setting", "size"),
        ({"response_format": "url"}, 400, "invalid_setting", "response_format"),
        ({"output_format": "gif"}, 400, "invalid_setting", "output_format"),
        ({"output_format": "svg"}, 400, "invalid_setting", "output_format"),
        ({"output_compression": "50"}, 400, "invalid_setting", "output_compression"),
        ({"output_compression": "101", "output_format": "jpeg"}, 400, "invalid_setting", "output_compression"),
        ({"background": "transparent"}, 400, "invalid_setting", "background"),
        ({"partial_images": "4"}, 400, "invalid_setting", "partial_images"),
        ({"frame_count": "3"}, 400, "unexpected_field", "frame_count"),
        ({"svg[model]": "x"}, 400, "unexpected_field", "svg[model]"),
        ({"steps": "5"}, 400, "invalid_setting", "steps"),
    ],
)
def test_a_refusal_is_a_problem_and_openais_error(http, image, form, status, code, param):
    fields = {name: value for name, value in ({"prompt": "the red ball"} | form).items() if value is not None}
    answer = http.post(EDITS, files={"image": image}, data=fields)
    told = answer.json()
    assert (answer.status_code, told["error"]["code"], told["error"]["param"]) == (status, code, param)
    assert (told["type"], told["field"], told["status"]) == (f"urn:concord:problem:{code}", param, status)
    assert told["error"]["type"] == "invalid_request_error"
    assert told["detail"] in told["error"]["message"]
    assert told["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize(
    "name, files, status, code",
    [
        ("none", {}, 400, "missing_field"),
        ("two", [("image[]", b"a"), ("image[]", b"b")], 400, "duplicate_field"),
        ("twice", [("image", b"a"), ("image", b"b")], 400, "duplicate_field"),
        ("no picture", {"image": b"text"}, 400, "invalid_image"),
        ("markup", {"image": b"a", "markup": b"b"}, 400, "unexpected_field"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_than_one_image_is_refused(http, name, files, status, code):
    fields = files.items() if isinstance(files, dict) else files
    parts = [(field, ("x.png", content, "image/png")) for field, content in fields]
    answer = http.post(EDITS, files=[*parts, ("prompt", (None, b"the red ball"))])
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_a_list_of_one_image_is_an_image(http, image):
    answer = http.post(EDITS, files={"image[]": image}, data={"prompt": "the red ball"})
    assert picture(answer)


@pytest.mark.parametrize(
    "mask, detail",
    [
        (encoded(middle(WIDTH, HEIGHT)), "it has no transparency"),
        (encoded(np.dstack([photograph(WIDTH, HEIGHT), np.full((HEIGHT, WIDTH), 255, np.uint8)])), "transparent"),
        (encoded(np.zeros((8, 8, 4), np.uint8)), "8x8"),
    ],
)
def test_a_mask_that_cannot_be_meant_is_refused(http, image, mask, detail):
    answer = http.post(EDITS, files={"image": image, "mask": mask})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_mask")
    assert detail in answer.json()["error"]["message"]


def test_other_routes_have_problems_without_openais_error(http, image):
    answer = http.post("/v1/harmonize", files={"image": image})
    assert answer.status_code == 400 and "error" not in answer.json()


def test_a_stream_of_one_pass_is_one_event(http, image):
    with http.stream(
        "POST", EDITS, files={"image": image}, data={"prompt": "the red ball", "stream": "true", "partial_images": "2"}
    ) as answer:
        lines = list(answer.iter_lines())
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert [line for line in lines if line.startswith("event:")] == ["event: image_edit.completed"]


def test_a_stream_that_cannot_begin_is_refused_with_a_status(http, image):
    form = {"prompt": "the red ball", "stream": "true", "model": "nothing"}
    answer = http.post(EDITS, files={"image": image}, data=form)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_model")
