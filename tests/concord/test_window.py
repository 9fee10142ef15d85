"""The part of a latent that is decoded: the mask's surroundings, and no more than saves time."""

import numpy as np
import pytest

from concord.loops.window import Window
from concord.transfer import transfer

SIDE = 256


def mask_of(rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[rows, columns] = 1
    return mask


@pytest.mark.parametrize(
    ("rows", "columns", "window"),
    [
        (slice(96, 128), slice(96, 128), Window(slice(8, 20), slice(8, 20))),
        (slice(0, 1), slice(255, 256), Window(slice(0, 8), slice(24, 32))),
        (slice(97, 130), slice(0, 64), Window(slice(8, 24), slice(0, 12))),
        (slice(10, 250), slice(10, 250), Window(slice(0, 32), slice(0, 32))),
    ],
)
def test_it_is_the_box_of_the_mask_with_margin_on_whole_steps_or_everything(
    rows: slice, columns: slice, window: Window
) -> None:
    assert Window.around(mask_of(rows, columns)) == window


def test_every_mask_lies_far_enough_inside_of_its_window() -> None:
    generator = np.random.default_rng(0)
    for _ in range(200):
        (top, bottom), (left, right) = (sorted(generator.choice(SIDE + 1, 2, replace=False)) for _ in range(2))
        window = Window.around(mask_of(slice(top, bottom), slice(left, right)))
        for side, first, last in ((window.rows, top, bottom), (window.columns, left, right)):
            assert side.start == 0 or 8 * side.start <= first - 32
            assert 8 * side.stop == SIDE or 8 * side.stop >= last + 32
            assert side.start % 4 == side.stop % 4 == 0


def test_what_was_decoded_comes_back_to_its_place_and_the_rest_is_not_known() -> None:
    window = Window(slice(8, 20), slice(4, 12))
    latent = np.arange(4 * 32 * 32, dtype=np.float32).reshape(4, 32, 32)
    assert (window.of(latent) == latent[:, 8:20, 4:12]).all()
    placed = window.placed(np.ones((3, 96, 64), np.float32), SIDE)
    known = np.isfinite(placed)
    assert known[:, 64:160, 32:96].all() and known.sum() == 3 * 96 * 64


def test_a_transfer_needs_no_more_than_the_window() -> None:
    generator = np.random.default_rng(1)
    pixels = generator.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    small = mask_of(slice(96, 128), slice(96, 128))
    result = (pixels.transpose(2, 0, 1) / np.float32(255) * np.float32(0.8)).astype(np.float32)
    window = Window.around(small)
    cut = window.placed(result[:, 64:160, 64:160], SIDE)
    whole, part = (transfer(pixels, small * np.uint8(255), pixels, small, each) for each in (result, cut))
    np.testing.assert_allclose(part.astype(int), whole.astype(int), atol=1)
