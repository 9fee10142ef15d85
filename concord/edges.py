"""Fits a mask's edge to the picture: what a network found on a coarse grid, or a person drew with a broad brush.

Only a band around the edge is decided anew, the wider the better colours tell the part from the rest. It is decided by
GrabCut (Rother et al. 2004): colour models of the part and of what is around it, and a cut along the picture's
contrast, at a small size on the surroundings of the part alone. The edge is then carried to full size
(`concord.guided`).
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from concord.arrays import Floats, Pixels
from concord.errors import InvalidSetting
from concord.grabcut import GrabCut
from concord.guided import carried, resized, size_within
from concord.masks import THRESHOLD, binary, depths, surroundings
from concord.matte import matte

EDGES = "EDGES"
AUTO, HARD, FITTED, SOFT = CHOICES = ("auto", "hard", "fitted", "soft")

_SIDE = 160  # of the working picture, its longer one: twice as many pixels a side take 3 times as long for 0.005 IoU
_MODEL_SIDE = 64  # of the picture that the colour models are learned from
# Half the band's width as a share of the photograph's longer side, in cells of the grid that CRIS answers on: where the
# part has other colours than what is around it, and where it does not, so that the colours cannot be trusted as far.
_FAR, _NEAR = 3.25 / 104, 1.5 / 104
_TOLD, _UNTOLD = 0.95, 0.88  # the share of pixels whose side their colour tells, for either
_BINS = 8  # of a colour channel
_CORE = 0.6  # of the depth of a thin part that stays part of it
_MARGIN = 0.1  # around the part, as a share of its size: what the model of the background is learned from
_LEAST_LIKENESS = 0.5  # IoU with the mask that was found, less of which is a fit that ran away


@dataclass(frozen=True)
class Part:
    """A part of a photograph.

    Attributes:
        mask: uint8 [H, W] of 0 and 255.
        alpha: its opacity, uint8 [H, W], where the edge is soft; else None.
    """

    mask: Pixels
    alpha: Pixels | None = None

    @property
    def matte(self) -> Pixels:
        """The opacity for the way between processes, where an array without pixels is none."""
        return np.empty((0, 0), np.uint8) if self.alpha is None else self.alpha

    @property
    def shown(self) -> Pixels:
        """What is answered as the mask: the opacity where there is one."""
        return self.mask if self.alpha is None else self.alpha


def opacity_of(matte: Pixels) -> Pixels | None:
    """The opacity from `Part.matte`."""
    return matte if matte.size else None


def part(pixels: Pixels, mask: Pixels, edges: str | bytes, *, found: bool) -> Part:
    """The part of a photograph, with the edge that is asked for.

    Args:
        pixels: uint8 [H, W, 3 or 4] RGB(A); alpha is ignored.
        mask: uint8 [H, W] of 0 and 255.
        edges: ``hard``: the mask as it is; ``fitted``: its edge follows the picture; ``soft``: fitted, with an opacity.
            ``auto`` is fitted for a mask that was found, and hard for one that was given.
        found: whether the mask was found by a network.

    Raises:
        InvalidSetting: ``edges`` is none of these.
    """
    asked = edges.decode("utf-8", "replace") if isinstance(edges, bytes) else edges
    if asked not in CHOICES:
        raise InvalidSetting(EDGES, f"is {asked[:40]!r}", ", ".join(CHOICES))
    if asked == AUTO:
        asked = FITTED if found else HARD
    if asked == HARD:
        return Part(mask)
    mask = fitted(pixels, mask)
    if asked == FITTED:
        return Part(mask)
    alpha = matte(pixels, mask)
    return Part(binary(alpha), alpha)


def fitted(pixels: Pixels, mask: Pixels) -> Pixels:
    """A mask whose edge follows the picture's contrast, near where it was.

    Args:
        pixels: uint8 [H, W, 3 or 4] RGB(A); alpha is ignored.
        mask: uint8 [H, W] of 0 and 255.

    Returns:
        uint8 [H, W] of 0 and 255: the mask itself where the picture says nothing better.
    """
    longest = max(mask.shape)
    box = surroundings(mask, _FAR * longest, _MARGIN)
    inside = np.ascontiguousarray(pixels[box][..., :3])
    before = np.ascontiguousarray(mask[box])
    scale = min(1.0, _SIDE / max(before.shape))
    size = size_within(before.shape, _SIDE)
    small = (resized(before, size) >= THRESHOLD).astype(np.uint8)
    if small.all() or not small.any():
        return mask
    view = resized(inside, size)
    known = depths(small)
    reach = _reach(view, known, _FAR * longest * scale, _NEAR * longest * scale)
    cut = _cut(view, small, known, max(reach, 1))
    after = binary(carried(cut.astype(np.float32), inside))
    if _likeness(before, after) < _LEAST_LIKENESS:
        return mask
    fit = np.zeros_like(mask)
    fit[box] = after
    return fit


def _reach(pixels: Pixels, known: tuple[Floats, Floats], far: float, near: float) -> float:
    """How far the edge may move, between the two: the farther, the better colours tell the part from the rest.

    Judged beyond the far band, where the sides are known by their depths, by a histogram of each.
    """
    depth, distance = known
    sides = depth > min(far, _CORE * float(depth.max())), distance > far
    if not all(side.any() for side in sides):
        return near
    bins = (pixels // (256 // _BINS)).astype(np.intp)
    colour = (bins[..., 0] * _BINS + bins[..., 1]) * _BINS + bins[..., 2]
    shares = [_shares(colour[side]) for side in sides]
    ours = (shares[0] > shares[1])[colour]
    told = (ours[sides[0]].mean() + 1 - ours[sides[1]].mean()) / 2
    return near + (far - near) * float(np.clip((told - _UNTOLD) / (_TOLD - _UNTOLD), 0, 1))


def _shares(colours: NDArray[np.intp]) -> Floats:
    """A smooth histogram of colours, which sums to 1."""
    counts = np.bincount(colours, minlength=_BINS**3).astype(np.float32).reshape((_BINS,) * 3)
    for axis in range(3):
        counts = (np.roll(counts, 1, axis) + 2 * counts + np.roll(counts, -1, axis)) / 4
    return np.asarray(counts.ravel() / counts.sum() + 1e-5, np.float32)


def _cut(pixels: Pixels, inside: Pixels, known: tuple[Floats, Floats], reach: float) -> Pixels:
    """GrabCut in the band of so many pixels around the edge, whose depths are known, uint8 [h, w] of 0 and 1."""
    depth, distance = known
    core = min(reach, _CORE * float(depth.max()))
    labels = np.where(inside > 0, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[depth > core] = cv2.GC_FGD
    labels[distance > reach] = cv2.GC_BGD
    step = int(np.ceil(max(labels.shape) / _MODEL_SIDE))
    few = np.ascontiguousarray(labels[::step, ::step])
    sides = np.isin(few, (cv2.GC_FGD, cv2.GC_PR_FGD))
    if sides.all() or not sides.any():
        return inside
    cut = GrabCut()
    cut.learn(np.ascontiguousarray(pixels[::step, ::step]), few, 1)
    cut.decide(pixels, labels)
    return np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)


def _likeness(mask: Pixels, other: Pixels) -> float:
    """IoU of two masks that are not both empty."""
    return cv2.countNonZero(mask & other) / max(cv2.countNonZero(mask | other), 1)
