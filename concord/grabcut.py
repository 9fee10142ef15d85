"""OpenCV's GrabCut (Rother, Kolmogorov and Blake 2004), with the same result each time.

Labels are uint8 [H, W]: ``cv2.GC_FGD`` and ``GC_BGD`` for what is sure, ``GC_PR_FGD`` and ``GC_PR_BGD`` for the rest,
which is written over. Its lowest bit says whether a pixel belongs.
"""

import cv2
import numpy as np

from concord.arrays import Pixels

_UNUSED = (0, 0, 1, 1)  # the rectangle of another way to begin


class GrabCut:
    """Colour models of a part and of what is around it."""

    def __init__(self) -> None:
        self._beyond, self._within = np.zeros((1, 65)), np.zeros((1, 65))

    def learn(self, pixels: Pixels, labels: Pixels, rounds: int) -> None:
        """Learns the models of a picture RGB [H, W, 3] and decides about its pixels, in turns.

        Both sides need a pixel.
        """
        cv2.setRNGSeed(0)  # of this thread: the clusters of the models begin at random
        cv2.grabCut(pixels, labels, _UNUSED, self._beyond, self._within, rounds, cv2.GC_INIT_WITH_MASK)

    def decide(self, pixels: Pixels, labels: Pixels) -> None:
        """Decides about the pixels of a picture, or of another size of it, by the models that were learned."""
        cv2.grabCut(pixels, labels, _UNUSED, self._beyond, self._within, 1, cv2.GC_EVAL_FREEZE_MODEL)
