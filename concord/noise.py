"""Gaussian noise that depends on a seed and on nothing else: not on batches, other requests or the machine."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from concord.arrays import Floats

MAX_SEED = 2**63 - 1


class SeededNoise:
    """Draws of standard normal noise, each a pure function of the seed, the draw's index and its shape.

    Philox is a counter-based generator (Salmon et al. 2011), so draws need no order. Its raw words are the same in
    every version of numpy, which numpy does not promise of its normal distribution; hence Box and Muller's transform.

    Args:
        seed: 0 to `MAX_SEED`.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def draw(self, index: int, shape: Sequence[int]) -> Floats:
        """Noise of a shape, fp32; the same for the same index, independent for another."""
        size = int(np.prod(shape))
        pairs = (size + 1) // 2
        uniform = self.uniform(index, (2 * pairs,))
        radius = np.sqrt(-2 * np.log(uniform[:pairs]))
        angle = 2 * np.pi * uniform[pairs:]
        normal = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])
        return np.asarray(normal[:size], np.float32).reshape(shape)

    def uniform(self, index: int, shape: Sequence[int]) -> NDArray[np.float64]:
        """Numbers spread evenly over 0..1; not independent of what `draw` gives for the same index."""
        words = np.random.Philox(key=np.array([self.seed, index], np.uint64)).random_raw(int(np.prod(shape)))
        # 53 bits each; never 0, so that the logarithm is finite.
        return (((words >> np.uint64(11)) + np.float64(0.5)) * 2.0**-53).reshape(shape)
