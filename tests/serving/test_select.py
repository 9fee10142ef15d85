"""The task `select` through the real server."""

import numpy as np
import pytest
from PIL import Image
from tritonclient.utils import InferenceServerException

from tests.serving.asking import ask
from tests.serving.pictures import decoded, encoded

PIPELINE = "select_grabcut"


def scene(width: int = 96, height: int = 72) -> np.ndarray:
    """A red square on a green ground, uint8 [height, width, 3]; it is the rows and columns 20 to 49."""
    pixels = np.random.default_rng(1).integers(0, 12, (height, width, 3)).astype(np.uint8)
    pixels[..., 1] += 120
    pixels[20:50, 20:50] = pixels[20:50, 20:50, ::-1] + np.uint8([90, 0, 0])
    pixels[20:50, 20:50, 1] = 20
    return pixels


def numbers(*values: float) -> np.ndarray:
    return np.array([values], np.float32)


def masks_of(answer: dict) -> list[np.ndarray]:
    return [decoded(each) for each in answer["MASKS"].ravel()]


def iou(mask: np.ndarray, truth: np.ndarray) -> float:
    return float(((mask > 0) & truth).sum() / ((mask > 0) | truth).sum())


def square(shape: tuple[int, int]) -> np.ndarray:
    truth = np.zeros(shape, bool)
    truth[20:50, 20:50] = True
    return truth


@pytest.mark.parametrize("protocol", ["grpc", "http"])
@pytest.mark.parametrize(
    "given", [{"POINTS": numbers(30, 30, 1)}, {"BOX": numbers(18, 18, 53, 53)}], ids=["a click", "a box"]
)
def test_what_was_shown_is_found(server, given, protocol):
    answer = ask(server, PIPELINE, {"IMAGE": encoded(scene())} | given, protocol)
    masks, scores = masks_of(answer), answer["SCORES"].ravel()
    assert 1 <= len(masks) == len(scores) <= 3
    assert all(mask.shape == (72, 96) and set(np.unique(mask)) <= {0, 255} for mask in masks)
    assert max(iou(mask, square((72, 96))) for mask in masks) > 0.95
    assert list(scores) == sorted(scores, reverse=True) and 0 <= scores.min() <= scores.max() <= 1


def test_points_are_in_the_upright_picture(server):
    stored = np.rot90(scene())
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned to the right, which gives the scene
    answer = ask(server, PIPELINE, {"IMAGE": encoded(stored, exif=exif), "POINTS": numbers(30, 30, 1)})
    assert max(iou(mask, square((72, 96))) for mask in masks_of(answer)) > 0.95


@pytest.mark.parametrize("kind", ["L", "RGBA"])
def test_grey_and_transparent_pictures_are_taken(server, kind):
    picture = Image.fromarray(scene()).convert(kind)
    answer = ask(server, PIPELINE, {"IMAGE": encoded(picture), "POINTS": numbers(30, 30, 1)})
    assert max(iou(mask, square((72, 96))) for mask in masks_of(answer)) > 0.95


BAD = {
    "nothing": ({}, "POINTS: neither points nor a box"),
    "outside": ({"POINTS": numbers(97, 3, 1)}, "POINTS: 97, 3 is outside"),
    "a third label": ({"POINTS": numbers(7, 3, 2)}, "POINTS: the label"),
    "no triples": ({"POINTS": numbers(7, 3)}, "POINTS: it has 2 numbers"),
    "too many": ({"POINTS": numbers(*65 * (7, 3, 1))}, "POINTS: it has 65 points"),
    "only others": ({"POINTS": numbers(7, 3, 0)}, "POINTS: none of them belongs"),
    "no number": ({"POINTS": numbers(float("nan"), 3, 1)}, "POINTS: a number is nan"),
    "no area": ({"BOX": numbers(7, 3, 7, 9)}, "BOX: 7, 3, 7, 9 has no area"),
    "a box outside": ({"BOX": numbers(7, 3, 97, 9)}, "BOX: 7, 3, 97, 9 is not inside"),
    "no box": ({"BOX": numbers(7, 3, 9)}, "BOX: it has 3 numbers"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_is_refused_by_its_tensor(server, case):
    given, words = BAD[case]
    with pytest.raises(InferenceServerException) as refused:
        ask(server, PIPELINE, {"IMAGE": encoded(scene())} | given)
    assert f"[invalid_points] {words}" in str(refused.value)
