import io

import numpy as np
import pytest
from PIL import Image

from tests.serving.asking import ask
from tests.serving.pictures import decoded, encoded, middle, photograph, srgb_profile

SIZES = [(1, 1), (1, 40), (32, 32), (33, 65), (640, 20), (12, 900), (500, 333), (257, 256), (6000, 4000)]
ROTATED = {3: lambda p: p[::-1, ::-1], 6: lambda p: np.rot90(p, -1), 8: np.rot90}


def harmonized(server, image: bytes, mask: np.ndarray) -> bytes:
    return ask(server, "harmonize_ht", {"IMAGE": image, "MASK": encoded(mask)})["HARMONIZED"].item()


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_pixels_outside_the_mask_are_untouched(server, width, height):
    pixels, mask = photograph(width, height), middle(width, height)
    answer = decoded(harmonized(server, encoded(pixels), mask))
    np.testing.assert_array_equal(answer[mask == 0], pixels[mask == 0])
    assert answer.shape == pixels.shape


def test_pixels_inside_the_mask_change(server):
    pixels, mask = photograph(128, 96), middle(128, 96)
    assert (decoded(harmonized(server, encoded(pixels), mask)) != pixels)[mask > 0].any()


def test_alpha_is_kept(server):
    pixels, mask = photograph(60, 50, channels=4), middle(60, 50)
    answer = decoded(harmonized(server, encoded(pixels), mask))
    np.testing.assert_array_equal(answer[..., 3], pixels[..., 3])
    np.testing.assert_array_equal(answer[mask == 0], pixels[mask == 0])


def test_a_grey_picture_is_answered_in_colour(server):
    pixels, mask = photograph(60, 50, channels=1), middle(60, 50)
    answer = decoded(harmonized(server, encoded(pixels), mask))
    np.testing.assert_array_equal(answer[mask == 0], np.repeat(pixels, 3, axis=2)[mask == 0])


def test_a_palette_picture_is_answered_in_its_colours(server):
    picture, mask = Image.fromarray(photograph(60, 50)).quantize(32), middle(60, 50)
    answer = decoded(harmonized(server, encoded(picture), mask))
    np.testing.assert_array_equal(answer[mask == 0], np.asarray(picture.convert("RGB"))[mask == 0])


@pytest.mark.parametrize("orientation", ROTATED)
def test_a_rotated_photograph_is_answered_upright(server, orientation):
    stored = photograph(60, 50)
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = ROTATED[orientation](stored)
    mask = middle(upright.shape[1], upright.shape[0])
    answer = decoded(harmonized(server, encoded(stored, exif=exif), mask))
    np.testing.assert_array_equal(answer[mask == 0], upright[mask == 0])


def test_the_colour_profile_is_carried_over(server):
    profile = srgb_profile()
    answer = harmonized(server, encoded(photograph(60, 50), icc_profile=profile), middle(60, 50))
    assert Image.open(io.BytesIO(answer)).info["icc_profile"] == profile


def test_a_black_mask_returns_the_picture_unchanged(server):
    pixels = photograph(60, 50)
    answer = harmonized(server, encoded(pixels), np.zeros((50, 60), np.uint8))
    np.testing.assert_array_equal(decoded(answer), pixels)


def test_a_white_mask_is_answered(server):
    pixels = photograph(60, 50)
    assert decoded(harmonized(server, encoded(pixels), np.full((50, 60), 255, np.uint8))).shape == pixels.shape


def test_grey_edges_of_a_mask_are_cut_in_the_middle(server):
    pixels, mask = photograph(60, 50), middle(60, 50)
    soft = np.where(mask > 0, 200, 90).astype(np.uint8)
    assert harmonized(server, encoded(pixels), soft) == harmonized(server, encoded(pixels), mask)


@pytest.mark.parametrize(("width", "height"), [(32, 32), (640, 20), (300, 200)])
def test_text_in_picture_out_keeps_what_the_mask_leaves(server, width, height):
    pixels = photograph(width, height)
    answer = ask(server, "segment_harmonize_ht", {"IMAGE": encoded(pixels), "TEXT": b"the red ball"})
    mask = decoded(answer["MASK"].item())
    assert set(np.unique(mask)) <= {0, 255} and mask.shape == (height, width)
    np.testing.assert_array_equal(decoded(answer["HARMONIZED"].item())[mask == 0], pixels[mask == 0])
    assert 0 <= answer["SCORE"].item() <= 1


def test_segment_and_segment_harmonize_find_the_same_mask(server):
    inputs = {"IMAGE": encoded(photograph(200, 150)), "TEXT": b"the red ball"}
    whole = ask(server, "segment_harmonize_ht", inputs)
    part = ask(server, "segment", inputs)
    assert whole["MASK"].item() == part["MASK"].item() and whole["SCORE"] == part["SCORE"]


def test_given_the_predicted_mask_harmonize_returns_the_same_picture(server):
    image = encoded(photograph(200, 150))
    whole = ask(server, "segment_harmonize_ht", {"IMAGE": image, "TEXT": b"the red ball"})
    again = ask(server, "harmonize_ht", {"IMAGE": image, "MASK": whole["MASK"].item()})
    assert again["HARMONIZED"].item() == whole["HARMONIZED"].item()
