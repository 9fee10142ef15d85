import numpy as np
import pytest

from concord.scenes.holes import make_hole


@pytest.mark.parametrize("size", [(64, 64), (160, 96)])
def test_a_hole_is_of_the_picture_s_size_and_leaves_most_of_it(size: tuple[int, int]) -> None:
    shares = []
    for seed in range(60):
        hole = make_hole(np.random.default_rng(seed), size)
        assert hole.shape == size and set(np.unique(hole)) == {0, 255}
        shares.append((hole > 0).mean())
    assert max(shares) < 0.6 and min(shares) < 0.03 < 0.1 < max(shares)


def test_the_same_seed_gives_the_same_hole() -> None:
    first, second, other = (make_hole(np.random.default_rng(seed), (96, 96)) for seed in (3, 3, 4))
    assert np.array_equal(first, second) and not np.array_equal(first, other)
