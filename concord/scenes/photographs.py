"""Photographs, by default those that ship inside scikit-image and scikit-learn, with one part changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import files

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from concord.arrays import Pixels
from concord.masks import binary
from concord.scenes.adjustments import Adjustment, LabStatistics, change_part, clipped_share, random_adjustment
from concord.scenes.chance import one_of

HELD_OUT_FROM = 1_000_000
"""Seeds from here on are never trained on; they see other photographs than the seeds below."""

_SKIMAGE, _SKLEARN = "skimage.data", "sklearn.datasets.images"
# With the weights by which they are drawn: everyday things more often than pictures from a microscope.
_FILES = {
    "train": (
        (_SKIMAGE, "astronaut.png", 1.0),
        (_SKIMAGE, "chelsea.png", 1.0),
        (_SKIMAGE, "motorcycle_left.png", 0.6),
        (_SKIMAGE, "motorcycle_right.png", 0.4),
        (_SKIMAGE, "ihc.png", 0.25),
        (_SKIMAGE, "retina.jpg", 0.12),
        (_SKLEARN, "china.jpg", 1.2),
    ),
    "held out": ((_SKIMAGE, "coffee.png", 1.0), (_SKIMAGE, "rocket.jpg", 1.0), (_SKLEARN, "flower.jpg", 1.0)),
}
_SEGMENTATION_SIDE = 320
_ANALYSED = 640
ERRORS = (80, 7000)
"""Mean squared differences that a change of the foreground makes, of 8-bit values: the range of iHarmony4."""


@dataclass(frozen=True)
class Photograph:
    """RGB pixels [H, W, 3], and labels [h, w] of several segmentations of a smaller copy.

    A segmentation by people has -1 where they marked no object.
    """

    name: str
    pixels: Pixels
    segmentations: tuple[NDArray[np.int32], ...]


@dataclass(frozen=True)
class Collection:
    """Photographs of a split, and the weights by which they are drawn."""

    split: str
    photographs: tuple[Photograph, ...]
    weights: tuple[float, ...]

    @cached_property
    def references(self) -> tuple[LabStatistics, ...]:
        """Statistics of every coarse segment, the references of colour transfer."""
        found = []
        for photograph in self.photographs:
            labels = photograph.segmentations[0]
            small = cv2.resize(photograph.pixels, labels.shape[::-1], interpolation=cv2.INTER_AREA)
            found += [LabStatistics.of(small[labels == label]) for label in np.unique(labels)]
        return tuple(found)

    def draw(self, rng: np.random.Generator) -> Photograph:
        """One of them."""
        return one_of(rng, self.photographs, self.weights)


@dataclass(frozen=True)
class PhotoComposite:
    """A view of a photograph (truth) and the same view with one part changed; uint8 [H, W, 3], mask [H, W] 0 or 255."""

    composite: Pixels
    truth: Pixels
    mask: Pixels


def _shrunk(pixels: Pixels, side: int) -> Pixels:
    scale = side / max(pixels.shape[:2])
    if scale >= 1:
        return pixels
    return cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def read_photograph(package: str, filename: str) -> Pixels:
    """A picture that ships inside a package, uint8 RGB [H, W, 3]."""
    with (files(package) / filename).open("rb") as file, Image.open(file) as image:
        return np.asarray(image.convert("RGB"))


def segmented(name: str, pixels: Pixels, objects: Sequence[NDArray[np.int32]] = ()) -> Photograph:
    """A photograph, shrunk to 640 pixels, with four segmentations of superpixels.

    objects: labels [H, W] by people, which are drawn as often as those four together.
    """
    from skimage.segmentation import felzenszwalb, slic  # scenes without a photograph work without scikit-image

    pixels = _shrunk(pixels, _ANALYSED)
    small = _shrunk(pixels, _SEGMENTATION_SIDE)
    segmentations = (
        slic(small, n_segments=24, compactness=12, sigma=1.5, start_label=0),
        slic(small, n_segments=90, compactness=9, sigma=1, start_label=0),
        felzenszwalb(small, scale=250, sigma=0.8, min_size=250),
        felzenszwalb(small, scale=90, sigma=0.8, min_size=80),
    )
    known = [cv2.resize(each, small.shape[1::-1], interpolation=cv2.INTER_NEAREST_EXACT) for each in objects]
    return Photograph(name, pixels, tuple(np.asarray(each, np.int32) for each in (*segmentations, *known * 4)))


@lru_cache(maxsize=2)
def bundled(split: str = "train") -> Collection:
    """Those of a split ("train" or "held out") that ship with the packages, segmented once per process (a second)."""
    photographs, weights = [], []
    for package, filename, weight in _FILES[split]:
        photographs.append(segmented(filename.split(".")[0], read_photograph(package, filename)))
        weights.append(weight)
    return Collection(split, tuple(photographs), tuple(weights))


def _grown_region(rng: np.random.Generator, labels: NDArray[np.int32], share: float) -> Pixels:
    """A connected union of neighbouring segments with about `share` of the area, grown from a random one; 0 or 255.

    Of objects that people marked, one.
    """
    if labels.min() < 0:
        marked = labels[labels >= 0]
        return (
            np.where(labels == rng.choice(marked), 255, 0).astype(np.uint8)
            if marked.size
            else np.zeros_like(labels, np.uint8)
        )
    count = int(labels.max()) + 1
    areas = np.bincount(labels.ravel(), minlength=count)
    touching = np.zeros((count, count), bool)
    touching[labels[:, 1:], labels[:, :-1]] = True
    touching[labels[1:], labels[:-1]] = True
    touching |= touching.T
    inside = np.zeros(count, bool)
    inside[labels[rng.integers(labels.shape[0]), rng.integers(labels.shape[1])]] = True
    area = areas[inside].sum()
    while area < share * labels.size:
        border = np.flatnonzero(touching[inside].any(0) & ~inside)
        if border.size == 0:
            break
        grown = rng.choice(border)
        if area + areas[grown] > 0.55 * labels.size:
            break
        inside[grown] = True
        area += areas[grown]
    return np.where(inside[labels], 255, 0).astype(np.uint8)


def _drawn_region(rng: np.random.Generator, height: int, width: int) -> Pixels:
    """A wobbly ellipse or a polygon; 0 or 255."""
    if rng.random() < 0.5:
        count = int(rng.integers(4, 9))
        angle, radius = np.sort(rng.uniform(0, 2 * np.pi, count)), rng.uniform(0.6, 1.0, count)
    else:
        angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
        radius = 1 + sum(rng.normal(0, 0.12 / k) * np.cos(k * angle + rng.uniform(0, 6.3)) for k in range(2, 6))
    axes = rng.uniform(0.16, 0.42, 2) * (width, height)
    turn = rng.uniform(0, np.pi)
    x, y = radius * np.cos(angle) * axes[0], radius * np.sin(angle) * axes[1]
    centre = rng.uniform(0.25, 0.75, 2) * (width, height)
    across = centre[0] + x * np.cos(turn) - y * np.sin(turn)
    points = np.stack([across, centre[1] + x * np.sin(turn) + y * np.cos(turn)], 1)
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [points.round().astype(np.int32)], (255,))
    return mask


def _random_mask(rng: np.random.Generator, labels: NDArray[np.int32], size: tuple[int, int]) -> Pixels:
    height, width = size
    if rng.random() < 0.2:
        return _drawn_region(rng, height, width)
    # Log-uniform: small foregrounds are as common as large ones.
    region = _grown_region(rng, labels, float(np.exp(rng.uniform(np.log(0.04), np.log(0.40)))))
    region = np.asarray(cv2.resize(region, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    return binary(np.asarray(cv2.GaussianBlur(region, (0, 0), height / 128 + 0.5), np.uint8))


def _crop(rng: np.random.Generator, photograph: Photograph, size: tuple[int, int]) -> tuple[Pixels, NDArray[np.int32]]:
    """A random view of the photograph at `size`, and a segmentation of it (at the segmentation's own resolution)."""
    height, width = size
    full_height, full_width = photograph.pixels.shape[:2]
    fit = min(full_height / height, full_width / width) * rng.uniform(0.38, 1.0)
    stretch = np.exp(rng.uniform(-0.15, 0.15))
    crop_height = int(min(full_height, fit * height * stretch))
    crop_width = int(min(full_width, fit * width / stretch))
    top = int(rng.integers(full_height - crop_height + 1))
    left = int(rng.integers(full_width - crop_width + 1))
    view = photograph.pixels[top : top + crop_height, left : left + crop_width]
    labels = photograph.segmentations[rng.integers(len(photograph.segmentations))]
    scale = labels.shape[0] / full_height
    rows = slice(int(top * scale), int((top + crop_height) * scale))
    labels = labels[rows, int(left * scale) : int((left + crop_width) * scale)]
    way = cv2.INTER_AREA if crop_height > height else cv2.INTER_LINEAR
    view = cv2.resize(view, (width, height), interpolation=way).astype(np.uint8, copy=False)
    if rng.random() < 0.5:
        view, labels = view[:, ::-1], labels[:, ::-1]
    if rng.random() < 0.15:
        view, labels = view[::-1], labels[::-1]
    return np.ascontiguousarray(view), np.ascontiguousarray(labels)


def random_view(rng: np.random.Generator, size: tuple[int, int], split: str = "train") -> Pixels:
    """A crop of one of the split's photographs, uint8 [height, width, 3]."""
    return _crop(rng, bundled(split).draw(rng), size)[0]


def _jittered(rng: np.random.Generator, view: Pixels) -> Pixels:
    """The whole photograph in other light and colours, so that few photographs give many looks."""
    if rng.random() < 0.15:
        view = np.ascontiguousarray(view[:, :, rng.permutation(3)])
    own = LabStatistics.of(view[::8, ::8].reshape(-1, 3))
    for _ in range(4):
        jitter = random_adjustment(rng, own, strength=0.9)
        jittered = jitter.apply(view)
        if clipped_share(view[::8, ::8].reshape(-1, 3), jittered[::8, ::8].reshape(-1, 3)) < 0.08:
            return jittered
    return view


def change_foreground(
    rng: np.random.Generator,
    truth: Pixels,
    mask: Pixels,
    references: Sequence[LabStatistics],
    errors: tuple[float, float] = ERRORS,
) -> Pixels | None:
    """The truth with the masked part changed by a mean squared difference within `errors`; None if no draw did it."""

    def draw(own: LabStatistics) -> Adjustment:
        reference = references[rng.integers(len(references))] if rng.random() < 0.6 else None
        return random_adjustment(rng, own, reference)

    def is_suitable(_after: Pixels, error: float, clipped: float) -> bool:
        return errors[0] <= error <= errors[1] and clipped < 0.10

    return change_part(rng, truth, mask, 6, draw, is_suitable)


def split_of(seed: int) -> str:
    """The split of the photographs that a seed uses."""
    return "train" if seed < HELD_OUT_FROM else "held out"


def make_photo_composite(
    seed: int,
    size: tuple[int, int],
    collection: Collection | None = None,
    errors: tuple[float, float] = ERRORS,
) -> PhotoComposite:
    """A composite of one photograph; equal arguments give equal composites.

    size: (height, width). collection: of what is drawn; by default the bundled ones of the seed's split. errors: range
    of the change's mean squared difference.
    """
    collection = collection or bundled(split_of(seed))
    for attempt in range(100):
        rng = np.random.default_rng((seed, attempt, 1))
        view, labels = _crop(rng, collection.draw(rng), size)
        truth = _jittered(rng, view) if collection.split == "train" or rng.random() < 0.5 else view
        mask = _random_mask(rng, labels, size)
        if not 0.03 <= np.count_nonzero(mask) / mask.size <= 0.6:
            continue
        if (composite := change_foreground(rng, truth, mask, collection.references, errors)) is not None:
            return PhotoComposite(composite, truth, mask)
    raise RuntimeError(f"no photo composite for seed {seed}")
