"""Where the objects of the example photographs are: drawn by hand, then fitted to the photograph by GrabCut."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from concord.arrays import Pixels
from concord.grabcut import GrabCut

_ROUNDS = 5

Ellipse = tuple[tuple[int, int], tuple[int, int], int]
"""Centre (x, y), half axes and rotation in degrees."""


@dataclass(frozen=True)
class Outline:
    """Polygons and ellipses in pixels of the photograph; the edge lies at most `band` pixels off what is drawn.

    With a band of 0 what is drawn is the mask.
    """

    polygons: Sequence[Sequence[tuple[int, int]]] = ()
    ellipses: Sequence[Ellipse] = ()
    band: int = 0

    def mask(self, photograph: Pixels) -> Pixels:
        """The object's mask uint8 [H, W] of 0 and 255 for the photograph RGB [H, W, 3]; the same each time."""
        drawn = np.zeros(photograph.shape[:2], np.uint8)
        for centre, axes, rotation in self.ellipses:
            cv2.ellipse(drawn, centre, axes, rotation, 0, 360, (255,), -1)
        for polygon in self.polygons:
            cv2.fillPoly(drawn, [np.array(polygon, np.int32)], (255,))
        return drawn if self.band == 0 else _fitted(photograph, drawn, self.band)


def _fitted(photograph: Pixels, drawn: Pixels, band: int) -> Pixels:
    """The mask whose edge is moved by GrabCut (Rother et al., SIGGRAPH 2004) within so many pixels of its own."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * band + 1, 2 * band + 1))
    # An object that the photograph cuts off goes on beyond it.
    padded = cv2.copyMakeBorder(drawn, band, band, band, band, cv2.BORDER_REPLICATE)
    inner, outer = (change(padded, disc)[band:-band, band:-band] for change in (cv2.erode, cv2.dilate))
    labels = np.where(drawn > 0, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[inner > 0], labels[outer == 0] = cv2.GC_FGD, cv2.GC_BGD
    GrabCut().learn(photograph, labels, _ROUNDS)
    mask = np.where((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD), 255, 0).astype(np.uint8)
    mask = np.asarray(cv2.medianBlur(mask, 5), np.uint8)
    _, parts, statistics, _ = cv2.connectedComponentsWithStats(mask)
    largest = 1 + int(np.argmax(statistics[1:, cv2.CC_STAT_AREA]))
    return np.where(parts == largest, 255, 0).astype(np.uint8)


OUTLINES = {
    "cup": Outline(
        ellipses=(((290, 112), (119, 95), 0), ((228, 268), (33, 40), 20), ((279, 222), (203, 163), 10)),
        polygons=(
            (
                (172, 112), (174, 150), (186, 190), (205, 225), (225, 252), (245, 272), (270, 282),
                (300, 282), (325, 272), (350, 250), (375, 215), (395, 180), (407, 140), (408, 112),
            ),
            ((396, 120), (402, 72), (408, 67), (419, 67), (424, 74), (416, 108), (404, 145)),
        ),
        band=6,
    ),
    "dahlia": Outline(ellipses=(((308, 223), (137, 135), 0),), band=16),
    "rocket": Outline(
        polygons=(
            (
                (311, 175), (311, 148), (313, 139), (316, 133), (319, 129), (322, 127), (325, 128), (329, 133),
                (332, 140), (334, 150), (334, 172), (333, 176), (329, 180), (329, 330), (330, 350), (330, 404),
                (312, 404), (308, 400), (308, 370), (310, 340), (313, 330), (314, 180), (311, 177),
            ),
        ),
    ),
    "astronaut": Outline(
        polygons=(
            (
                (40, 511), (25, 470), (22, 440), (20, 400), (25, 345), (40, 300), (55, 265), (80, 240),
                (100, 220), (118, 208), (114, 190), (122, 185), (128, 165), (150, 150), (165, 148), (184, 149),
                (180, 130), (170, 122), (155, 90), (154, 65), (162, 50), (185, 38), (195, 30), (215, 18),
                (235, 15), (265, 22), (285, 40), (300, 70), (302, 90), (290, 118), (276, 132), (268, 135),
                (258, 165), (270, 178), (295, 205), (305, 232), (318, 240), (340, 262), (350, 290), (358, 310),
                (362, 345), (385, 345), (410, 345), (440, 355), (470, 380), (488, 415), (497, 450), (511, 470),
                (511, 511),
            ),
        ),
        band=6,
    ),
}  # fmt: skip
