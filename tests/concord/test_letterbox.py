"""The way into CRIS's square and back is the published one, to the pixel."""

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from concord.letterbox import CLIP_MEAN, CRIS_SIZE, MASK_THRESHOLD, letterbox, mask_from_logits, square_probabilities

SIZES = [
    (1, 1),
    (1, 900),
    (900, 1),
    (32, 32),
    (104, 417),
    (416, 416),
    (500, 375),
    (428, 640),
    (1365, 2048),
    (3, 32_766),
]


def published_matrices(height: int, width: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    scale = min(416 / height, 416 / width)
    new_height, new_width = height * scale, width * scale
    bias_x, bias_y = (416 - new_width) / 2.0, (416 - new_height) / 2.0
    source = np.array([[0, 0], [width, 0], [0, height]], np.float32)
    target = np.array([[bias_x, bias_y], [new_width + bias_x, bias_y], [bias_x, new_height + bias_y]], np.float32)
    return cv2.getAffineTransform(source, target), cv2.getAffineTransform(target, source)


def published_mask(logits: NDArray[np.float32], height: int, width: int) -> NDArray[np.bool_]:
    inverse = published_matrices(height, width)[1]
    warped = cv2.warpAffine(
        square_probabilities(logits), inverse, (width, height), flags=cv2.INTER_CUBIC, borderValue=0.0
    )
    return np.asarray(warped > 0.35)


def logits_of(kind: str) -> NDArray[np.float32]:
    generator = np.random.default_rng(1)
    smooth = cv2.resize(generator.normal(0, 4, (7, 7)), (104, 104), interpolation=cv2.INTER_CUBIC)
    return {
        "smooth": smooth,
        "ragged": smooth + generator.normal(0, 3, (104, 104)),
        "noise": generator.normal(-0.6, 0.4, (104, 104)),
        "everywhere": np.full((104, 104), 30.0),
        "nowhere": np.full((104, 104), -1000.0),
    }[kind].astype(np.float32)[None]


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_the_image_is_fitted_as_published(height: int, width: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    expected = cv2.warpAffine(
        pixels,
        published_matrices(height, width)[0],
        (416, 416),
        flags=cv2.INTER_CUBIC,
        borderValue=[0.48145466 * 255, 0.4578275 * 255, 0.40821073 * 255],
    )
    fitted = letterbox(pixels)
    assert fitted.dtype == np.uint8
    assert np.array_equal(fitted, expected)


def test_the_border_is_clips_mean_colour_and_alpha_is_ignored() -> None:
    pixels = np.full((100, 300, 4), 7, np.uint8)
    fitted = letterbox(pixels)
    assert np.array_equal(fitted, letterbox(pixels[..., :3]))
    assert np.array_equal(fitted[10, 10], np.rint(np.array(CLIP_MEAN) * 255))
    assert (fitted[CRIS_SIZE // 2, CRIS_SIZE // 2] == 7).all()


@pytest.mark.parametrize("kind", ["smooth", "ragged", "noise", "everywhere"])
def test_logits_are_upsampled_as_torch_does(kind: str) -> None:
    logits = logits_of(kind)
    expected = torch.nn.functional.interpolate(
        torch.sigmoid(torch.from_numpy(logits)[None]), (416, 416), mode="bicubic", align_corners=True
    )
    assert np.abs(square_probabilities(logits) - expected[0, 0].numpy()).max() < 1e-5


@pytest.mark.parametrize("kind", ["smooth", "ragged", "noise", "everywhere", "nowhere"])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_the_mask_is_that_of_the_plain_inverse_warp(height: int, width: int, kind: str) -> None:
    logits = logits_of(kind)
    mask, _ = mask_from_logits(logits, height, width)
    assert mask.dtype == np.uint8
    assert np.array_equal(mask, np.where(published_mask(logits, height, width), 255, 0))


def test_the_score_is_the_mean_probability_inside_the_mask() -> None:
    logits = np.full((1, 104, 104), -8.0, np.float32)
    logits[:, 30:70, 40:80] = 1.0
    mask, score = mask_from_logits(logits, 300, 400)
    assert mask.any()
    assert score == pytest.approx(1 / (1 + np.exp(-1.0)), abs=0.02)
    assert mask_from_logits(logits_of("everywhere"), 300, 400)[1] == pytest.approx(1.0)


def test_nothing_found_is_an_empty_mask_with_score_zero() -> None:
    mask, score = mask_from_logits(logits_of("nowhere"), 120, 80)
    assert not mask.any()
    assert score == 0.0


def test_what_cris_finds_in_the_border_is_not_in_the_image() -> None:
    logits = np.full((1, 104, 104), -8.0, np.float32)
    logits[:, :20] = 8.0
    mask, score = mask_from_logits(logits, 100, 300)
    assert not mask.any()
    assert score == 0.0


@pytest.mark.parametrize(("height", "width"), [(300, 400), (400, 300), (1000, 500), (416, 416)])
def test_a_place_in_the_image_comes_back_to_itself(height: int, width: int) -> None:
    pixels = np.zeros((height, width, 3), np.uint8)
    top, bottom, left, right = height // 4, height // 2, width // 3, 2 * width // 3
    pixels[top:bottom, left:right] = 255
    fitted = letterbox(pixels)[..., 0].astype(np.float32) / 255
    found = cv2.resize(fitted, (104, 104), interpolation=cv2.INTER_AREA)
    mask, _ = mask_from_logits(((found - MASK_THRESHOLD) * 50)[None].astype(np.float32), height, width)
    expected = np.zeros((height, width), bool)
    expected[top:bottom, left:right] = True
    assert ((mask > 0) & expected).sum() / ((mask > 0) | expected).sum() > 0.9
