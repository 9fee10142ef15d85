import numpy as np
import pytest

from concord.scenes.photographs import make_photo_composite, photographs

SIZE = (128, 128)


def test_no_photograph_is_in_both_splits() -> None:
    train, held_out = ({photograph.name for photograph in photographs(split)} for split in ("train", "held out"))
    assert train and held_out and not train & held_out


@pytest.mark.parametrize("split", ["train", "held out"])
def test_only_the_masked_part_was_changed(split: str) -> None:
    for seed in range(30):
        sample = make_photo_composite(seed, SIZE, split)
        inside = sample.mask == 255
        assert set(np.unique(sample.mask)) == {0, 255}
        assert 0.03 <= inside.mean() <= 0.6
        assert np.array_equal(sample.composite[~inside], sample.truth[~inside])
        assert np.mean((sample.composite[inside].astype(float) - sample.truth[inside]) ** 2) > 40


def test_a_seed_always_gives_the_same_composite() -> None:
    first, second = make_photo_composite(7, SIZE), make_photo_composite(7, SIZE)
    assert np.array_equal(first.composite, second.composite)
    assert np.array_equal(first.mask, second.mask)


@pytest.mark.parametrize("size", [(64, 64), (96, 200), (200, 96), (416, 416)], ids=str)
def test_a_composite_has_the_size_that_was_asked_for(size: tuple[int, int]) -> None:
    sample = make_photo_composite(2, size)
    assert sample.composite.shape == sample.truth.shape == (*size, 3)
    assert sample.mask.shape == size
