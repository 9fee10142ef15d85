"""A part is repainted in a frame around it, at the picture's own resolution, and nothing else is touched."""

import numpy as np
import pytest

from concord.errors import ConcordError
from concord.frame import Frame, painted
from tests.concord.test_transfer import disc, texture


def box(height: int, width: int, top: int, left: int, tall: int, wide: int) -> np.ndarray:
    mask = np.zeros((height, width), np.uint8)
    mask[top : top + tall, left : left + wide] = 255
    return mask


@pytest.mark.parametrize(
    ("mask", "rows", "columns"),
    [
        (box(2000, 3000, 900, 1400, 100, 200), (694, 1206), (1244, 1756)),  # the square's own scale
        (box(2000, 3000, 900, 1400, 100, 600), (350, 1550), (1100, 2300)),  # twice the part
        (box(2000, 3000, 0, 2990, 10, 10), (0, 512), (2488, 3000)),  # moved into the picture
        (box(300, 3000, 100, 100, 50, 50), (0, 300), (0, 512)),  # cut to it
        (box(40, 50, 1, 1, 38, 48), (0, 40), (0, 50)),
    ],
)
def test_a_frame_is_the_surroundings_of_the_part(mask: np.ndarray, rows: tuple, columns: tuple) -> None:
    frame = Frame.around(mask, 512)
    assert (frame.rows.start, frame.rows.stop) == rows and (frame.columns.start, frame.columns.stop) == columns
    assert frame.of(mask).sum() == mask.sum()


def planes(pixels: np.ndarray) -> np.ndarray:
    return np.moveaxis(pixels[..., :3].astype(np.float32) / 255, 2, 0)


def test_at_the_square_s_own_scale_the_part_is_the_square_bit_for_bit() -> None:
    pixels, other, mask = texture(90, 120), texture(64, 64)[::-1], box(90, 120, 30, 40, 20, 30)
    frame = Frame(slice(10, 74), slice(20, 84))
    after = painted(pixels, mask, frame, planes(other))
    np.testing.assert_array_equal(after[mask > 0], frame.of(after)[frame.of(mask) > 0])
    np.testing.assert_array_equal(frame.of(after)[frame.of(mask) > 0], other[frame.of(mask) > 0])
    np.testing.assert_array_equal(after[mask == 0], pixels[mask == 0])


@pytest.mark.parametrize("size", [(30, 41), (500, 700)], ids=["smaller", "larger"])
def test_a_square_is_put_where_it_was_taken_from(size: tuple[int, int]) -> None:
    """Of a smooth picture squashed and painted again, nothing moves."""
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    pixels = np.stack([255 * rows / height, 255 * columns / width, 128 + 0 * rows], 2).astype(np.uint8)
    centres = (np.arange(64) + 0.5) / 64
    square = np.stack([*np.meshgrid(centres, centres, indexing="ij"), np.full((64, 64), 0.5)]).astype(np.float32)
    after = painted(pixels, np.full(size, 255, np.uint8), Frame.whole(*size), square)
    inner = np.s_[height // 10 : -height // 10, width // 10 : -width // 10]  # without the border, where it is flat
    np.testing.assert_allclose(after[inner].astype(int), pixels[inner].astype(int), atol=5)


def test_outside_the_part_and_in_alpha_nothing_changes() -> None:
    pixels = np.dstack([texture(200, 300), np.arange(300, dtype=np.uint8)[None].repeat(200, 0)])
    mask = disc(200, 300)
    after = painted(pixels, mask, Frame.around(mask, 64), np.ones((3, 64, 64), np.float32))
    np.testing.assert_array_equal(after[mask == 0], pixels[mask == 0])
    np.testing.assert_array_equal(after[..., 3], pixels[..., 3])
    assert (after[..., :3] != pixels[..., :3])[mask > 0].mean() > 0.9


def test_strength_and_opacity_take_a_share_of_the_change() -> None:
    pixels, mask = np.full((64, 64, 3), 100, np.uint8), np.full((64, 64), 255, np.uint8)
    result = np.full((3, 64, 64), 200 / 255, np.float32)
    whole = Frame.whole(64, 64)
    values = [int(painted(pixels, mask, whole, result, strength=share)[0, 0, 0]) for share in (0.0, 0.5, 1.0, 1.5)]
    assert values == [100, 150, 200, 250]
    opacity = np.full((64, 64), 51, np.uint8)
    opacity[:, :10] = 0
    soft = painted(pixels, mask, whole, result, opacity=opacity)
    assert (soft[:, 10:] == 120).all() and (soft[:, :10] == 100).all()


def test_a_result_that_is_no_number_is_an_error() -> None:
    with pytest.raises(ConcordError, match="not finite"):
        painted(texture(64, 64), disc(64, 64), Frame.whole(64, 64), np.full((3, 64, 64), np.nan, np.float32))
