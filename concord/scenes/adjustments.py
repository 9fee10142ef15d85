"""Random changes of colour and light, like those that separate a pasted foreground from its new background.

The kinds are those by which iHarmony4 (Cong et al., CVPR 2020) makes composites from photographs: colour transfer
(Reinhard et al., 2001: mean and deviation per channel in Lab) and retouching (exposure, gamma, contrast, curves,
white balance, saturation, hue), and a gradient of light across the foreground.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from concord.arrays import Floats, Pixels
from concord.masks import binary
from concord.scenes.chance import one_of, shuffled

# Weights of the kinds; most iHarmony4 composites look like transfer and white balance.
_WEIGHTS = {
    "exposure": 1.4,
    "gamma": 1.2,
    "contrast": 0.8,
    "curves": 1.0,
    "white balance": 1.6,
    "saturation": 0.9,
    "hue": 0.5,
    "gradient": 0.8,
    "transfer": 1.4,
}
KINDS = tuple(_WEIGHTS)
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class LabStatistics:
    """Mean and standard deviation of L (0..100), a and b over some pixels, [3] each."""

    mean: Floats
    deviation: Floats

    @classmethod
    def of(cls, pixels: Pixels) -> Self:
        """Statistics of RGB pixels [N, 3]."""
        lab = cv2.cvtColor(pixels.reshape(-1, 1, 3).astype(np.float32) / 255, cv2.COLOR_RGB2LAB).reshape(-1, 3)
        return cls(lab.mean(0), lab.std(0))

    def perturbed(self, rng: np.random.Generator, strength: float) -> Self:
        """Statistics that the same object might have in another photograph."""
        shift = rng.normal(0, (14, 8, 10)) * strength
        scale = np.exp(rng.normal(0, (0.25, 0.2, 0.2)) * strength)
        return type(self)((self.mean + shift).astype(np.float32), (self.deviation * scale).astype(np.float32))

    def towards(self, other: Self, amount: float) -> Self:
        """A mixture of these statistics (amount 0) and the other's (1)."""
        return type(self)(
            self.mean + amount * (other.mean - self.mean), self.deviation + amount * (other.deviation - self.deviation)
        )


@dataclass(frozen=True)
class Adjustment:
    """One change: per-channel curves, then a colour matrix, then an affine map in Lab, then a gradient of light.

    curves: float32 [256, 3], output 0..1 for each 8-bit input. matrix: float32 [3, 3]. lab: scale [3] and offset [3].
    gradient: float32 [2, 3], for each channel the relative gain at the right and bottom edge (the opposite at left
    and top).
    """

    curves: Floats
    matrix: Floats | None = None
    lab: tuple[Floats, Floats] | None = None
    gradient: Floats | None = None

    def apply(self, pixels: Pixels) -> Pixels:
        """The change applied to a crop [h, w, 3]; the gradient spans the crop."""
        height, width = pixels.shape[:2]
        x, y = (np.linspace(-1, 1, length, dtype=np.float32) for length in (width, height))
        return self._at(pixels, x[None, :, None], y[:, None, None])

    def apply_to_samples(self, pixels: Pixels, x: Floats, y: Floats) -> Pixels:
        """The same change applied to pixels [N, 3] of the crop at x and y [N], each from -1 to 1 across the crop."""
        return self._at(pixels[:, None], x[:, None, None], y[:, None, None])[:, 0]

    def _at(self, pixels: Pixels, x: Floats, y: Floats) -> Pixels:
        changed: Any = cv2.LUT(np.ascontiguousarray(pixels), self.curves[None])
        if self.matrix is not None:
            changed = cv2.transform(changed, self.matrix)
        if self.lab is not None:
            scale, offset = self.lab
            lab: Any = cv2.cvtColor(np.clip(changed, 0, 1, out=changed), cv2.COLOR_RGB2LAB)
            lab *= scale
            lab += offset
            changed = cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)
        if self.gradient is not None:
            changed = changed * (1 + x * self.gradient[0] + y * self.gradient[1])
        changed = changed * 255 + 0.5
        return np.asarray(np.clip(changed, 0, 255, out=changed), np.uint8)


def saturation_matrix(amount: float) -> Floats:
    """Mixes colours [3] with their luma: 0 makes them grey, and 1 leaves them."""
    return (amount * np.eye(3, dtype=np.float32) + (1 - amount) * np.tile(_LUMA, (3, 1))).astype(np.float32)


def _hue_matrix(radians: float) -> Floats:
    """Rotation about the grey axis (Rodrigues' formula)."""
    cosine, sine = np.cos(radians), np.sin(radians)
    third, root = (1 - cosine) / 3, sine / np.sqrt(3)
    a, b, c = cosine + third, third - root, third + root
    return np.array([[a, b, c], [c, a, b], [b, c, a]], np.float32)


def _random_gains(rng: np.random.Generator, strength: float) -> NDArray[np.float64]:
    """Gains of white balance: mainly along the daylight axis, with some tint."""
    warmth = rng.normal(0, 0.20) * strength
    tint = rng.normal(0, 0.08) * strength
    return np.asarray(np.exp(np.array([warmth + tint / 2, -tint, -warmth + tint / 2])))


def _random_curve(rng: np.random.Generator, tone: NDArray[np.float64], strength: float) -> NDArray[np.float64]:
    """A monotone curve through random heights at five tones."""
    knots = np.linspace(0, 1, 5)
    heights = knots + rng.normal(0, 0.07, 5) * strength * (0.4, 1, 1, 1, 0.6)
    heights = np.maximum.accumulate(heights + 0.05 * knots)
    fine = np.interp(np.linspace(0, 1, 33), knots, heights)
    smooth = np.convolve(np.pad(fine, 4, mode="reflect", reflect_type="odd"), np.ones(9) / 9, "valid")
    return np.interp(tone, np.linspace(0, 1, 33), smooth)


def random_adjustment(
    rng: np.random.Generator,
    own: LabStatistics,
    reference: LabStatistics | None = None,
    strength: float = 1.0,
    kinds: tuple[str, ...] = KINDS,
) -> Adjustment:
    """A random mixture of one to four kinds of change.

    own: statistics of the foreground. Colour transfer maps them onto those of `reference`, or onto a perturbation of
    `own` if there is none.
    strength: 1 gives the differences of typical composites; less is subtler.
    """
    count = min(len(kinds), one_of(rng, (1, 2, 3, 4), (0.2, 0.4, 0.3, 0.1)))
    drawn = set(shuffled(rng, kinds, [_WEIGHTS[kind] for kind in kinds])[:count])
    # Several changes at once are each smaller, so that their sum is not larger.
    each = strength * (1.35, 1.05, 0.9, 0.8)[count - 1]

    tone = np.arange(256) / 255
    curves = np.tile(tone[:, None], 3)
    if "exposure" in drawn:
        # In linear light, with the usual gamma of 2.2.
        curves = curves * 2 ** (one_of(rng, (-1, 1)) * rng.uniform(0.25, 1.1) * each / 2.2)
    if "gamma" in drawn:
        curves = np.maximum(curves, 0) ** np.exp(one_of(rng, (-1, 1)) * rng.uniform(0.15, 0.55) * each)
    if "white balance" in drawn:
        curves = curves * _random_gains(rng, each)
    if "contrast" in drawn:
        pivot = own.mean[0] / 100
        curves = pivot + (curves - pivot) * np.exp(one_of(rng, (-1, 1)) * rng.uniform(0.15, 0.5) * each)
    if "curves" in drawn:
        shared = rng.random() < 0.3
        draws = [_random_curve(rng, tone, each) for _ in range(1 if shared else 3)]
        curves = np.stack([np.interp(curves[:, c], tone, draws[0 if shared else c]) for c in range(3)], 1)

    matrix = None
    if "saturation" in drawn:
        matrix = saturation_matrix(float(np.exp(one_of(rng, (-1, 1)) * rng.uniform(0.15, 0.6) * each)))
    if "hue" in drawn:
        rotation = _hue_matrix(one_of(rng, (-1, 1)) * rng.uniform(0.05, 0.22) * each)
        matrix = rotation if matrix is None else rotation @ matrix

    gradient = None
    if "gradient" in drawn:
        direction = rng.uniform(0, 2 * np.pi)
        tint = 1 + rng.normal(0, 0.25, 3)
        tints = tint * rng.uniform(0.12, 0.4) * each
        gradient = np.outer((np.cos(direction), np.sin(direction)), tints).astype(np.float32)

    lab = None
    if "transfer" in drawn:
        if reference is None:
            goal = own.perturbed(rng, each)
        else:
            goal = own.towards(reference, rng.uniform(0.25, 0.75) * min(each, 1.2))
        scale = np.clip(goal.deviation / np.maximum(own.deviation, 0.5), 0.5, 1.7).astype(np.float32)
        lab = (scale, (goal.mean - own.mean * scale).astype(np.float32))
    return Adjustment(curves.astype(np.float32), matrix, lab, gradient)


def picked(rng: np.random.Generator, coverage: Pixels) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of 400 random pixels well inside an object, of which ``coverage`` is the share, 0..255."""
    inside = np.flatnonzero(coverage.ravel() > 250)
    return np.divmod(inside[rng.integers(inside.size, size=400)], coverage.shape[1])


def change_part(
    rng: np.random.Generator,
    truth: Pixels,
    coverage: Pixels,
    attempts: int,
    draw: Callable[[LabStatistics], Adjustment],
    is_suitable: Callable[[Pixels, float, float], bool],
) -> Pixels | None:
    """The truth [H, W, 3] with a part [H, W] changed; None if no attempt made a suitable difference.

    draw: a change for the part's statistics. is_suitable: whether to keep it, by changed samples [N, 3], their mean
    squared difference and their `clipped_share`.
    """
    x, y, width, height = cv2.boundingRect((coverage > 0).astype(np.uint8))
    box = (slice(y, y + height), slice(x, x + width))
    rows, columns = picked(rng, coverage[box])
    samples = truth[box][rows, columns]
    at_x = (2 * columns / max(width - 1, 1) - 1).astype(np.float32)
    at_y = (2 * rows / max(height - 1, 1) - 1).astype(np.float32)
    own = LabStatistics.of(samples)
    for _ in range(attempts):
        adjustment = draw(own)
        changed = adjustment.apply_to_samples(samples, at_x, at_y)
        error = float(np.mean((changed.astype(np.float32) - samples) ** 2))
        if is_suitable(changed, error, clipped_share(samples, changed)):
            composite = truth.copy()
            cv2.copyTo(adjustment.apply(truth[box]), binary(coverage)[box], composite[box])
            return composite
    return None


def clipped_share(before: Pixels, after: Pixels) -> float:
    """The share of pixels [N, 3] that a change made black or white, so that their content is lost."""
    lost = ((after <= 1) & (before > 8)) | ((after >= 254) & (before < 247))
    return float(lost.any(-1).mean())
