import numpy as np

from concord.scenes.adjustments import Adjustment, LabStatistics, clipped_share, random_adjustment

IDENTITY = np.tile(np.arange(256, dtype=np.float32)[:, None] / 255, 3)


def some_pixels(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(40, 200, (24, 32, 3), dtype=np.uint8)


def test_a_change_that_changes_nothing_returns_the_pixels() -> None:
    pixels = some_pixels()
    unchanged = Adjustment(IDENTITY, np.eye(3, dtype=np.float32), None, np.zeros((2, 3), np.float32)).apply(pixels)
    assert np.array_equal(unchanged, pixels)


def test_samples_change_as_their_pixels_in_the_crop_do() -> None:
    pixels = some_pixels()
    rows, columns = np.divmod(np.arange(24 * 32), 32)
    x, y = (2 * columns / 31 - 1).astype(np.float32), (2 * rows / 23 - 1).astype(np.float32)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        adjustment = random_adjustment(rng, LabStatistics.of(pixels.reshape(-1, 3)))
        samples = adjustment.apply_to_samples(pixels[rows, columns], x, y)
        assert np.abs(samples.astype(int) - adjustment.apply(pixels)[rows, columns]).max() <= 1


def test_colour_transfer_brings_the_statistics_of_the_reference() -> None:
    pixels = some_pixels()
    own = LabStatistics.of(pixels.reshape(-1, 3))
    reference = LabStatistics(own.mean + np.float32([8, 5, -6]), own.deviation * np.float32(0.8))
    scale = reference.deviation / own.deviation
    moved = Adjustment(IDENTITY, lab=(scale, reference.mean - own.mean * scale)).apply(pixels)
    found = LabStatistics.of(moved.reshape(-1, 3))
    assert np.abs(found.mean - reference.mean).max() < 1.5
    assert np.abs(found.deviation - reference.deviation).max() < 2.0


def test_a_seed_always_gives_the_same_change() -> None:
    pixels = some_pixels()
    own = LabStatistics.of(pixels.reshape(-1, 3))
    first = random_adjustment(np.random.default_rng(5), own).apply(pixels)
    assert np.array_equal(first, random_adjustment(np.random.default_rng(5), own).apply(pixels))


def test_clipped_pixels_are_counted() -> None:
    before = np.full((10, 3), 128, np.uint8)
    after = before.copy()
    after[:3, 1] = 255
    assert clipped_share(before, after) == 0.3
