"""Selecting an object by clicks or a box without a network: GrabCut (Rother, Kolmogorov and Blake 2004) several times.

A click does not say how much is meant: a part, an object or a group. So there are three beginnings, of growing size:
the pixels that are nearest to the clicks along the paths on which colour changes least. Each is cut from its own
surroundings, which are seen at a bounded size, and the edge is then fitted to the picture twice on the way to its full
size.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from concord.arrays import Floats, Pixels
from concord.clicks import Clicks
from concord.geodesic import geodesic_distance
from concord.grabcut import GrabCut
from concord.guided import carried, resized, size_within
from concord.masks import binary, intersection_over_union

WORKING_SIDE = 512
"""The longest side of the copy in which edges are found."""

_MAP_SIDE = 96  # of the copy in which distances are measured
_CUT_SIDE = 128  # of the copy of an object's surroundings that is cut
_ITERATIONS = 2
_SHARES = (0.01, 0.025, 0.1)  # of the picture, in the beginning of part, object and group
_REACH = (3.0, 0.15)  # what can belong: so many times the beginning, and so much of the picture besides
_FARTHEST = 0.9
_INSCRIBED = (1.0, 0.75, 0.5)  # of a box without clicks: the ellipses that the beginnings are
_STEP = 0.3  # length of a path per pixel, in units of Lab
_SURE = 0.25  # of a beginning: what is nearest, and belongs
_LEAST = 0.3  # of a beginning: a mask that is smaller is none
_HOLE = 0.05  # of the mask: smaller ones are filled
_SPECK = 0.1  # of the largest piece: of a box, smaller pieces are left out
_CONTRAST = 15.0  # difference across an edge, in units of Lab, that is as good as any
_ALIKE = 0.95  # IoU from which on two masks are one

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Selection:
    """A mask, uint8 [H, W] of 0 and 255, and how good its edge is, 0..1."""

    mask: Pixels
    score: float


def select(pixels: Pixels, clicks: Clicks) -> list[Selection]:
    """Up to three masks of what is meant by clicks and a box, the best first; the same input gives the same masks.

    Every mask holds each click that belongs and none of the others, and has no holes of less than a twentieth of it.

    Args:
        pixels: uint8 [H, W, 3 or 4] RGB(A); alpha is not looked at.
    """
    height, width = pixels.shape[:2]
    colours = np.ascontiguousarray(pixels[..., :3])
    work = _shrunk(colours, WORKING_SIDE)
    scale = (work.shape[1] / width, work.shape[0] / height)
    placed = _Placed.of(clicks, scale, (work.shape[0], work.shape[1]))
    beginnings = _beginnings(work, placed)
    with ThreadPoolExecutor(len(beginnings)) as threads:
        masks = list(threads.map(lambda beginning: _cut(work, placed, *beginning), beginnings))
    lab = _lab(work)
    found = sorted(((_score(lab, mask), mask) for mask in masks), key=lambda each: -each[0])
    kept: list[tuple[float, Mask]] = []
    for score, mask in found:
        if all(intersection_over_union(mask, other) < _ALIKE for _, other in kept):
            kept.append((score, mask))
    full = _Placed.of(clicks, (1.0, 1.0), (height, width))
    return [
        Selection(full.forced(binary(carried(mask.astype(np.float32), pixels, guide=work))), score)
        for score, mask in kept
    ]


@dataclass(frozen=True)
class _Placed:
    """Clicks in the pixels of a copy: rows and columns, and the box as slices."""

    shape: tuple[int, int]
    belonging: Sequence[tuple[int, int]]
    others: Sequence[tuple[int, int]]
    box: tuple[slice, slice] | None

    @classmethod
    def of(cls, clicks: Clicks, scale: tuple[float, float], shape: tuple[int, int]) -> "_Placed":
        def pixel(point: tuple[float, float]) -> tuple[int, int]:
            x, y = (int(value * factor) for value, factor in zip(point, scale, strict=True))
            return min(y, shape[0] - 1), min(x, shape[1] - 1)

        belonging = [pixel(point) for point in clicks.belonging]
        others = [place for point in clicks.others if (place := pixel(point)) not in belonging]
        box = None
        if clicks.box is not None:
            top, left = pixel(clicks.box[:2])
            bottom, right = (
                int(np.ceil(value * factor)) for value, factor in zip(clicks.box[3:1:-1], scale[::-1], strict=True)
            )
            box = slice(top, max(top + 1, bottom)), slice(left, max(left + 1, right))
        return cls(shape, belonging, others, box)

    def mark(self, marks: Pixels, offset: tuple[int, int], factor: float) -> None:
        """Writes the clicks into the marks of a cut.

        A click on the object may be next to its edge, so that only its pixel is sure to belong.
        """
        around = max(1, max(marks.shape) // 80)
        for places, value, radius in ((self.others, cv2.GC_BGD, around), (self.belonging, cv2.GC_FGD, 0)):
            for row, column in places:
                centre = int((column - offset[1] + 0.5) * factor), int((row - offset[0] + 0.5) * factor)
                cv2.circle(marks, centre, radius, (value,), -1)

    def forced(self, mask: Pixels) -> Pixels:
        """The mask of 0 and 255 with what is sure in it: every click, and nothing outside the box."""
        for row, column in self.belonging:
            mask[row, column] = 255
        for row, column in self.others:
            mask[row, column] = 0
        if self.box is not None:
            kept = mask[self.box].copy()
            mask[:] = 0
            mask[self.box] = kept
        return mask


def _beginnings(work: Pixels, placed: _Placed) -> list[tuple[Mask, Mask, Mask]]:
    """What belongs, what probably does at first, and what can at all, by size; all of the working copy's size."""
    allowed = np.ones(placed.shape, bool)
    if placed.box is not None:
        allowed[:] = False
        allowed[placed.box] = True
    if not placed.belonging:
        return [(np.zeros_like(allowed), _ellipse(placed, share), allowed) for share in _INSCRIBED]
    small = _shrunk(work, _MAP_SIDE)
    smooth = np.asarray(cv2.bilateralFilter(small, 5, 30, 3), np.uint8)
    lab = _lab(smooth)
    nearest = _distance(lab, placed.belonging, placed.shape)
    far = np.inf
    away = _distance(lab, placed.others, placed.shape) if placed.others else np.full(placed.shape, far, np.float32)
    nearest[~allowed] = far
    shown = np.sort(nearest[allowed])
    found = []
    for share in _SHARES:
        count = share * nearest.size
        reach = min(_FARTHEST * len(shown), _REACH[0] * count + _REACH[1] * nearest.size)
        likely = (nearest <= _ranked(shown, count)) & (nearest < away)
        sure = likely & (nearest <= _ranked(shown, _SURE * count))
        found.append((sure, likely, allowed & (nearest <= _ranked(shown, reach if placed.box is None else len(shown)))))
    return found


def _cut(work: Pixels, placed: _Placed, sure: Mask, likely: Mask, possible: Mask) -> Mask:
    """One beginning cut from its surroundings, of the working copy's size."""
    rows, columns = _surroundings(possible)
    view = np.ascontiguousarray(work[rows, columns])
    factor = min(1.0, _CUT_SIDE / max(view.shape[:2]))
    small = _shrunk(view, _CUT_SIDE)
    size = small.shape[1], small.shape[0]
    marks = np.where(_resized(likely[rows, columns], size), cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    marks[~_resized(possible[rows, columns], size)] = cv2.GC_BGD
    marks[_resized(sure[rows, columns], size)] = cv2.GC_FGD
    placed.mark(marks, (rows.start, columns.start), factor)
    _run_grabcut(small, marks)
    cut = (marks & 1).astype(np.float32)
    mask = np.zeros(placed.shape, np.uint8)
    mask[rows, columns] = binary(carried(cut, view, guide=small))
    if np.count_nonzero(mask) < _LEAST * np.count_nonzero(likely):
        # Its colours are those of what is around it, so that no cut can be found.
        mask = np.where(likely, np.uint8(255), np.uint8(0))
    return _tidied(placed.forced(mask) > 0, placed)


def _run_grabcut(small: Pixels, marks: Pixels) -> None:
    """Decides about each pixel; marks without foreground or without background stay as they are."""
    foreground = (marks & 1).astype(bool)
    if not foreground.any() or foreground.all():
        return
    GrabCut().learn(small, marks, _ITERATIONS)


def _tidied(mask: Mask, placed: _Placed) -> Mask:
    """The pieces that are meant, without small holes."""
    _, pieces, facts, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    if placed.belonging:
        wanted = {int(pieces[place]) for place in placed.belonging}
    else:
        areas = facts[1:, cv2.CC_STAT_AREA]
        wanted = {1 + int(piece) for piece in np.flatnonzero(areas >= _SPECK * areas.max(initial=0))}
    kept = np.isin(pieces, list(wanted - {0}))
    _, holes, facts, _ = cv2.connectedComponentsWithStats((~kept).astype(np.uint8), connectivity=8)
    outside = {*holes[[0, -1]].ravel().tolist(), *holes[:, [0, -1]].ravel().tolist()}
    outside |= {int(holes[place]) for place in placed.others}
    small = np.flatnonzero(facts[:, cv2.CC_STAT_AREA] < _HOLE * np.count_nonzero(kept))
    return kept | np.isin(holes, [hole for hole in small if hole not in outside and hole])


def _score(lab: Floats, mask: Mask) -> float:
    """The mean difference of colour across the mask's edge, 0..1; 0 where it has none."""
    if not mask.any():
        return 0.0
    place = _surroundings(mask)
    inside, lab = mask[place].astype(np.uint8), lab[place]
    kernel = np.ones((3, 3), np.uint8)
    inner, outer = inside - cv2.erode(inside, kernel), cv2.dilate(inside, kernel) - inside
    if not inner.any() or not outer.any():
        return 0.0
    weight = cv2.boxFilter(outer.astype(np.float32), -1, (5, 5), normalize=False)
    beyond = cv2.boxFilter(lab * outer[..., None], -1, (5, 5), normalize=False)
    edge = (inner > 0) & (weight > 0)
    difference = np.linalg.norm(lab[edge] - beyond[edge] / weight[edge][:, None], axis=1)
    return float(np.minimum(difference / _CONTRAST, 1).mean())


def _distance(lab: Floats, places: Sequence[tuple[int, int]], shape: tuple[int, int]) -> Floats:
    """From clicks in a picture of a shape, over a smaller copy of it."""
    start = np.zeros(lab.shape[:2], bool)
    for row, column in places:
        start[row * lab.shape[0] // shape[0], column * lab.shape[1] // shape[1]] = True
    distance = geodesic_distance(lab, start, _STEP)
    return np.asarray(cv2.resize(distance, shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def _ellipse(placed: _Placed, share: float) -> Mask:
    """That of the box, so much of it as its axes say; at least a pixel."""
    assert placed.box is not None
    rows, columns = placed.box
    y, x = np.ogrid[: placed.shape[0], : placed.shape[1]]
    across = (x - (columns.start + columns.stop - 1) / 2) / (columns.stop - columns.start)
    down = (y - (rows.start + rows.stop - 1) / 2) / (rows.stop - rows.start)
    distance = across**2 + down**2
    return np.asarray(4 * distance <= max(share**2, 4 * distance.min()), bool)


def _surroundings(possible: Mask) -> tuple[slice, slice]:
    """The box around what can belong, and an eighth of it on every side, so that there is background in it."""
    rows, columns = (np.flatnonzero(possible.any(axis=axis)) for axis in (1, 0))

    def widened(found: NDArray[np.intp], size: int) -> slice:
        first, last = int(found[0]), int(found[-1]) + 1
        more = 2 + (last - first) // 8
        return slice(max(0, first - more), min(size, last + more))

    return widened(rows, possible.shape[0]), widened(columns, possible.shape[1])


def _ranked(ordered: Floats, count: float) -> float:
    return float(ordered[min(len(ordered) - 1, int(count))])


def _shrunk(pixels: Pixels, side: int) -> Pixels:
    return resized(pixels, size_within(pixels.shape, side))


def _resized(mask: Mask, size: tuple[int, int]) -> Mask:
    return np.asarray(cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST), np.uint8) > 0


def _lab(pixels: Pixels) -> Floats:
    return np.asarray(cv2.cvtColor(pixels.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)
