"""A photograph to be enlarged is checked before it is decoded, padded with its mirror image, and keeps its alpha."""

import numpy as np
import pytest

from concord.arrays import as_signed
from concord.enlargement import check_enlarged, padded, with_alpha
from concord.errors import ConcordError
from concord.limits import Limits
from tests.serving.pictures import encoded, photograph

LIMITS = Limits(max_pixels=16 * 1200)


def test_a_photograph_whose_answer_is_within_the_limit_passes() -> None:
    check_enlarged(encoded(photograph(40, 30)), 4, LIMITS)


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (
            encoded(photograph(41, 30)),
            "[image_too_large] IMAGE: 41x30 pixels, of which an answer of 164x120 would be made; "
            "allowed: at most 1200 pixels",
        ),
        (encoded(photograph(200, 200)), "[image_too_large] IMAGE: 200x200 pixels; allowed: at most 19200 pixels"),
        (b"", "[invalid_image] IMAGE: empty"),
    ],
    ids=["its answer", "itself", "no file"],
)
def test_one_over_the_limit_is_refused_and_told_what_is_allowed(file: bytes, words: str) -> None:
    with pytest.raises(ConcordError) as refused:
        check_enlarged(file, 4, LIMITS)
    assert str(refused.value).startswith(words)


def test_an_answer_has_no_longer_sides_than_other_pictures() -> None:
    with pytest.raises(ConcordError, match=r"9000x1 pixels, of which .* allowed: sides of at most 8191 pixels"):
        check_enlarged(encoded(photograph(9000, 1)), 4, Limits())


def test_the_network_sees_colours_around_zero() -> None:
    seen = as_signed(np.array([[[0, 255, 51, 7]]], np.uint8))
    np.testing.assert_allclose(seen, [[[-1]], [[1]], [[-0.6]]], atol=1e-6)
    assert seen.dtype == np.float32


@pytest.mark.parametrize("sides", [(16, 16), (3, 4), (2, 16)], ids=str)
def test_padding_mirrors_the_picture_however_small_it_is(sides: tuple[int, int]) -> None:
    picture = np.arange(2 * 3, dtype=np.float32).reshape(1, 2, 3)
    wide = padded(picture, sides)
    assert wide.shape[1:] == sides and np.isin(wide, picture).all()
    np.testing.assert_array_equal(wide[:, :2, :3], picture)
    np.testing.assert_array_equal(wide[:, :2, 3], picture[:, :, 2])


def test_alpha_is_as_large_as_the_answer_and_where_it_was() -> None:
    pixels = photograph(6, 4, 4)
    pixels[..., 3] = np.where(np.arange(6) < 3, 0, 255)
    answer = with_alpha(np.zeros((16, 24, 3), np.uint8), pixels)
    assert answer.shape == (16, 24, 4) and not answer[:, :8, 3].any() and (answer[:, 16:, 3] == 255).all()
    assert with_alpha(np.zeros((16, 24, 3), np.uint8), pixels[..., :3]).shape == (16, 24, 3)
