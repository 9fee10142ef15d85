"""``POST /v1/harmonize`` against the real server."""

import base64
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from tests.facade.sending import problem
from tests.serving.pictures import decoded, encoded, middle, photograph, srgb_profile

OUTSIDE = middle(96, 72) == 0


def test_a_mask_is_harmonized_and_the_rest_untouched(http, image, mask):
    answer = http.post("/v1/harmonize", files={"image": image, "mask": mask})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    pixels = decoded(answer.content)
    np.testing.assert_array_equal(pixels[OUTSIDE], decoded(image)[OUTSIDE])
    assert (pixels[~OUTSIDE] != decoded(image)[~OUTSIDE]).any()
    assert answer.headers["x-concord-model"] == "ht"
    assert "x-concord-seed" not in answer.headers and "x-concord-score" not in answer.headers
    stages = [entry.split(";")[0] for entry in answer.headers["server-timing"].split(", ")]
    assert stages == ["read", "queued", "inference", "encode"]


def test_a_text_names_the_part_and_json_holds_everything(http, image):
    answer = http.post(
        "/v1/harmonize",
        files={"image": image},
        data={"text": "the red square", "model": "ht"},
        headers={"Accept": "application/json", "X-Request-Id": "of-the-caller"},
    )
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    told = answer.json()
    assert decoded(base64.b64decode(told["image"])).shape == (72, 96, 3)
    assert decoded(base64.b64decode(told["mask"])).shape == (72, 96)
    assert 0 <= told["score"] <= 1 and told["truncated"] is False and told["seed"] is None
    assert (told["model"], told["format"]) == ("ht", "png")
    assert told["job"] == answer.headers["x-concord-job"] == answer.headers["x-request-id"] == "of-the-caller"
    assert set(told["seconds"]) == {"read", "queued", "inference", "encode"}


def test_a_text_s_score_is_in_the_headers_of_the_picture(http, image):
    answer = http.post("/v1/harmonize", files={"image": image}, data={"text": "the square " * 20})
    assert 0 <= float(answer.headers["x-concord-score"]) <= 1
    assert answer.headers["x-concord-truncated"] == "true"


@pytest.mark.parametrize(("picture_format", "kind"), [("jpeg", "JPEG"), ("webp", "WEBP")])
def test_other_formats_are_smaller_at_a_lower_quality_and_keep_the_profile(http, mask, picture_format, kind):
    image = encoded(photograph(96, 72), "PNG", icc_profile=srgb_profile())
    sizes = []
    for quality in ("20", "95"):
        answer = http.post(
            "/v1/harmonize",
            files={"image": image, "mask": mask},
            data={"format": picture_format, "quality": quality},
        )
        assert answer.headers["content-type"] == f"image/{picture_format}"
        opened = Image.open(BytesIO(answer.content))
        assert (opened.format, opened.size) == (kind, (96, 72)) and opened.info["icc_profile"]
        sizes.append(len(answer.content))
    assert sizes[0] < sizes[1]


@pytest.mark.parametrize("channels", [3, 4])
def test_a_lossless_webp_has_the_pixels_of_the_png(http, mask, channels):
    image = encoded(photograph(96, 72, channels), "PNG", icc_profile=srgb_profile())
    asked = {"files": {"image": image, "mask": mask}}
    png = http.post("/v1/harmonize", **asked)
    answer = http.post("/v1/harmonize", **asked, data={"format": "webp-lossless", "quality": "1"})
    assert answer.headers["content-type"] == "image/webp"
    assert Image.open(BytesIO(answer.content)).info["icc_profile"] == srgb_profile()
    np.testing.assert_array_equal(decoded(answer.content), decoded(png.content))


def test_a_format_that_there_is_not_is_refused_with_those_that_there_are(http, image, mask):
    refused = http.post("/v1/harmonize", files={"image": image, "mask": mask}, data={"format": "png-lossless"})
    assert problem(refused) == (400, "invalid_setting", "format", "png, jpeg, webp, webp-lossless, psd")


def test_a_jpeg_of_a_transparent_picture_is_laid_on_white(http, mask):
    pixels = np.dstack([photograph(96, 72), np.zeros((72, 96), np.uint8)])
    answer = http.post("/v1/harmonize", files={"image": encoded(pixels), "mask": mask}, data={"format": "jpeg"})
    assert answer.status_code == 200 and decoded(answer.content).min() > 250


def test_text_fields_may_come_as_files_and_files_as_fields(http, mask):
    image = encoded(photograph(96, 72), "BMP")
    answer = http.post("/v1/harmonize", files={"image": (None, image), "mask": mask, "format": ("f", b"webp")})
    assert answer.headers["content-type"] == "image/webp"


BOTH = {"image": "image", "mask": "mask"}
REFUSED = {
    "no image": ({"mask": "mask"}, {}, (400, "missing_field", "image")),
    "neither text nor mask": ({"image": "image"}, {}, (400, "missing_field", "text")),
    "both text and mask": (BOTH, {"text": "a"}, (400, "invalid_setting", "mask")),
    "an unknown field": (BOTH, {"strong": "1"}, (400, "unexpected_field", "strong")),
    "an unknown model": (BOTH, {"model": "sd"}, (404, "unknown_model", "model")),
    "a model of another task": (
        BOTH,
        {"model": "cris"},
        (404, "unknown_model", "model"),
    ),
    "an unknown format": (BOTH, {"format": "gif"}, (400, "invalid_setting", "format")),
    "quality 0": (BOTH, {"quality": "0"}, (400, "invalid_setting", "quality")),
    "quality 101": (BOTH, {"quality": "101"}, (400, "invalid_setting", "quality")),
    "steps 0": (BOTH, {"steps": "0"}, (400, "invalid_setting", "steps")),
    "steps 51": (BOTH, {"steps": "51"}, (400, "invalid_setting", "steps")),
    "steps in words": (BOTH, {"steps": "five"}, (400, "invalid_setting", "steps")),
    "half a step": (BOTH, {"steps": "2.5"}, (400, "invalid_setting", "steps")),
    "a negative seed": (BOTH, {"seed": "-1"}, (400, "invalid_setting", "seed")),
    "a seed of 64 bits": (BOTH, {"seed": str(2**63)}, (400, "invalid_setting", "seed")),
    "no time": (BOTH, {"timeout": "0"}, (400, "invalid_setting", "timeout")),
    "no number of seconds": (BOTH, {"timeout": "nan"}, (400, "invalid_setting", "timeout")),
    "for ever": (BOTH, {"timeout": "inf"}, (400, "invalid_setting", "timeout")),
    "longer than allowed": (BOTH, {"timeout": "61"}, (400, "invalid_setting", "timeout")),
    "an unknown sampler": (BOTH, {"sampler": "euler"}, (400, "invalid_setting", "sampler")),
    "an odd resolution": (BOTH, {"resolution": "300"}, (400, "invalid_setting", "resolution")),
    "neither true nor false": (BOTH, {"refine": "2"}, (400, "invalid_setting", "refine")),
    "steps where there are none": (BOTH, {"steps": "5"}, (400, "invalid_setting", "steps")),
    "an empty text": ({"image": "image"}, {"text": ""}, (400, "invalid_text", "text")),
    "a blank text": ({"image": "image"}, {"text": " \t"}, (400, "invalid_text", "text")),
    "no picture": ({"image": b"no picture", "mask": "mask"}, {}, (400, "invalid_image", "image")),
    "an empty picture": ({"image": b"", "mask": "mask"}, {}, (400, "invalid_image", "image")),
    "no mask": ({"image": "image", "mask": b"no mask"}, {}, (400, "invalid_image", "mask")),
    "half a picture": ({"image": "half", "mask": "mask"}, {}, (400, "invalid_image", "image")),
    "a mask of another size": ({"image": "image", "mask": "small mask"}, {}, (400, "invalid_mask", "mask")),
    "CMYK": ({"image": "cmyk", "mask": "mask"}, {}, (415, "unsupported_image", "image")),
    "an animation": ({"image": "animation", "mask": "mask"}, {}, (415, "unsupported_image", "image")),
}


@pytest.fixture(scope="module")
def pictures(image, mask):
    cmyk, animation = BytesIO(), BytesIO()
    Image.new("CMYK", (96, 72)).save(cmyk, "JPEG")
    frames = [Image.new("L", (96, 72), shade) for shade in (0, 255)]
    frames[0].save(animation, "GIF", save_all=True, append_images=frames[1:])
    return {
        "image": image,
        "mask": mask,
        "half": image[: len(image) // 2],
        "small mask": encoded(middle(30, 20)),
        "cmyk": cmyk.getvalue(),
        "animation": animation.getvalue(),
    }


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused_by_its_field_with_what_is_allowed(http, pictures, case):
    files, fields, expected = REFUSED[case]
    sent = {name: pictures[each] if isinstance(each, str) else each for name, each in files.items()}
    status, code, field, allowed = problem(http.post("/v1/harmonize", files=sent, data=fields))
    assert (status, code, field) == expected
    assert allowed


def test_the_limits_of_a_number_are_named(http, image, mask):
    fields = {"model": "diffharmony", "steps": "many"}
    allowed = problem(http.post("/v1/harmonize", files={"image": image, "mask": mask}, data=fields))[3]
    assert allowed == "a whole number from 1 to 50"


def test_a_decoder_that_has_not_passed_its_gate_is_refused_and_the_refusal_says_why(http, image, mask):
    fields = {"model": "diffharmony", "decoder": "linear"}
    answer = http.post("/v1/harmonize", files={"image": image, "mask": mask}, data=fields)
    assert problem(answer)[:3] == (400, "invalid_setting", "decoder")
    assert "linear" not in problem(answer)[3] and "plain" in problem(answer)[3]
    assert "has not passed the gate" in answer.text and "python -m export judge latent_preview" in answer.text


@pytest.mark.parametrize("model", ["x", "cris"])
def test_the_models_that_harmonize_are_named(http, image, mask, model):
    answer = http.post("/v1/harmonize", files={"image": image, "mask": mask}, data={"model": model})
    listed = http.get("/v1/models").json()["data"]
    allowed = ", ".join(each["name"] for each in listed if each["task"] == "harmonize")
    assert allowed.startswith("ht, diffharmony")
    assert problem(answer) == (404, "unknown_model", "model", allowed)


def test_a_model_that_is_not_loaded_is_refused_with_those_that_are(diffusing_http, image, mask):
    answer = diffusing_http.post("/v1/harmonize", files={"image": image, "mask": mask}, data={"model": "ht"})
    assert problem(answer) == (404, "unknown_model", "model", "diffharmony")


@pytest.mark.parametrize("name", ["image", "mask", "model"])
def test_a_field_that_comes_twice_is_refused(http, image, mask, name):
    content = {"image": image, "mask": mask, "model": b"ht"}
    parts = [(each, content[each]) for each in (*content, name)]
    assert problem(http.post("/v1/harmonize", files=parts))[:3] == (400, "duplicate_field", name)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("application/json", "unsupported_media_type"),
        ("application/x-www-form-urlencoded", "unsupported_media_type"),
        ("text/plain", "unsupported_media_type"),
        ("multipart/form-data", "malformed_body"),
        ("multipart/form-data; boundary=" + 1000 * "x", "malformed_body"),
        ("multipart/form-data; boundary=x", "malformed_body"),
        ("multipart/mixed; boundary=x", "unsupported_media_type"),
        ("", "unsupported_media_type"),
    ],
)
def test_a_body_that_is_no_form_is_refused(http, kind, expected):
    answer = http.post("/v1/harmonize", content=b"{}", headers={"Content-Type": kind})
    assert problem(answer)[1] == expected


def test_pixels_are_counted_by_the_header_before_anything_is_sent(http, mask):
    bomb = encoded(Image.new("1", (20_000, 10_000)))
    answer = http.post("/v1/harmonize", files={"image": bomb, "mask": mask})
    assert problem(answer) == (413, "image_too_large", "image", "at most 40000000 pixels")
