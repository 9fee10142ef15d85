"""Layers over HTTP: ``output=layer`` and ``format=psd``."""

import io

import numpy as np
import pytest
from PIL import Image
from psd_tools import PSDImage

from tests.facade.sending import problem
from tests.facade.test_batches import BATCHES, unzipped
from tests.serving.pictures import decoded, encoded, photograph

HARMONIZE = "/v1/harmonize"


def flat(file: bytes) -> np.ndarray:
    return np.asarray(PSDImage.open(io.BytesIO(file)).composite(force=True, apply_icc=False).convert("RGB"))


@pytest.mark.parametrize("strength", ["0.5", "1.5"])
def test_a_layer_over_the_photograph_is_the_picture(http, image, mask, strength):
    files, data = {"image": image, "mask": mask}, {"strength": strength}
    picture = decoded(http.post(HARMONIZE, files=files, data=data).content)
    layer = Image.open(io.BytesIO(http.post(HARMONIZE, files=files, data=data | {"output": "layer"}).content))
    laid = Image.alpha_composite(Image.fromarray(decoded(image)).convert("RGBA"), layer)
    np.testing.assert_array_equal(np.asarray(laid.convert("RGB")), picture)


@pytest.mark.parametrize("given", ["mask", "text"])
def test_a_psd_has_the_answer_in_layers(http, image, mask, given):
    files = {"image": image} | ({"mask": mask} if given == "mask" else {})
    data = {} if given == "mask" else {"text": "the red square"}
    answer = http.post(HARMONIZE, files=files, data=data | {"format": "psd"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/vnd.adobe.photoshop")
    picture = decoded(http.post(HARMONIZE, files=files, data=data).content)
    np.testing.assert_array_equal(flat(answer.content), picture)
    psd = PSDImage.open(io.BytesIO(answer.content))
    assert [layer.name for layer in psd] == ["input", "harmonized"]
    np.testing.assert_array_equal(np.asarray(psd.topil()), picture)


def test_a_large_psd_is_written_apart(http, monkeypatch, image, mask):
    monkeypatch.setattr("facade.work.pictures._CHEAP_PIXELS", {"psd": 0})
    files = {"image": image, "mask": mask}
    written = http.post(HARMONIZE, files=files, data={"format": "psd"})
    np.testing.assert_array_equal(flat(written.content), decoded(http.post(HARMONIZE, files=files).content))


def test_layers_that_cannot_be_are_refused_in_words(http, mask):
    image = encoded(photograph(96, 72, channels=4))
    for data in ({"output": "layer"}, {"format": "psd"}):
        refused = http.post(HARMONIZE, files={"image": image, "mask": mask}, data=data)
        assert problem(refused)[:2] == (400, "invalid_setting")
        assert "transparent where it changes" in refused.json()["detail"]


@pytest.mark.parametrize("picture_format", ["jpeg", "webp", "psd"])
def test_a_format_that_would_not_keep_a_layer_is_refused(http, image, mask, picture_format):
    data = {"output": "layer", "format": picture_format}
    for route, files in (
        (HARMONIZE, [("image", image), ("mask", mask)]),
        (BATCHES, [("images", ("a.png", image)), ("images", ("a_mask.png", mask))]),
    ):
        refused = http.post(route, files=files, data=data)
        assert problem(refused)[:3] == (400, "invalid_setting", "format")


def test_a_strength_out_of_range_is_refused(http, image, mask):
    for strength in ("1.51", "-1", "nan", "inf"):
        refused = http.post(HARMONIZE, files={"image": image, "mask": mask}, data={"strength": strength})
        assert problem(refused)[:3] == (400, "invalid_setting", "strength")


def test_a_batch_answers_in_psd(http, image, mask):
    files = [("images", ("a.png", image)), ("images", ("a_mask.png", mask)), ("images", ("b.png", image))]
    answer = http.post(BATCHES, files=files, data={"format": "psd", "text": "the red square", "strength": "0.5"})
    pictures, _ = unzipped(answer)
    for name, given in (("a.psd", {"mask": mask}), ("b.psd", {})):
        data = {"strength": "0.5"} | ({} if given else {"text": "the red square"})
        alone = http.post(HARMONIZE, files={"image": image} | given, data=data)
        np.testing.assert_array_equal(flat(pictures[name]), decoded(alone.content))
