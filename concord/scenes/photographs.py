"""Photographs that ship inside scikit-image and scikit-learn, and composites in which a part of one is changed."""

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from concord.arrays import Pixels
from concord.scenes.adjustments import Adjustment, LabStatistics, clipped_share, random_adjustment
from concord.scenes.chance import one_of

HELD_OUT_FROM = 1_000_000
"""Seeds from here on are never trained on; they see other photographs than the seeds below."""

_SKIMAGE, _SKLEARN = "skimage.data", "sklearn.datasets.images"
_FILES = {
    "train": (
        (_SKIMAGE, "astronaut.png"),
        (_SKIMAGE, "chelsea.png"),
        (_SKIMAGE, "motorcycle_left.png"),
        (_SKIMAGE, "motorcycle_right.png"),
        (_SKIMAGE, "ihc.png"),
        (_SKIMAGE, "retina.jpg"),
        (_SKLEARN, "china.jpg"),
    ),
    "held out": ((_SKIMAGE, "coffee.png"), (_SKIMAGE, "rocket.jpg"), (_SKLEARN, "flower.jpg")),
}
# Weights of the training photographs: everyday things more often than pictures from a microscope.
_WEIGHTS = {
    "astronaut": 1.0,
    "chelsea": 1.0,
    "motorcycle_left": 0.6,
    "motorcycle_right": 0.4,
    "ihc": 0.25,
    "retina": 0.12,
    "china": 1.2,
}
_SEGMENTATION_SIDE = 320
_ANALYSED = 640


@dataclass(frozen=True)
class Photograph:
    """RGB pixels [H, W, 3], and labels [h, w] of several segmentations of a smaller copy."""

    name: str
    pixels: Pixels
    segmentations: tuple[NDArray[np.int32], ...]


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


@lru_cache(maxsize=2)
def photographs(split: str = "train") -> tuple[Photograph, ...]:
    """The photographs of a split ("train" or "held out"), segmented once per process (about a second)."""
    from skimage.segmentation import felzenszwalb, slic  # scenes without a photograph work without scikit-image

    found = []
    for package, filename in _FILES[split]:
        pixels = _shrunk(read_photograph(package, filename), _ANALYSED)
        small = _shrunk(pixels, _SEGMENTATION_SIDE)
        segmentations = (
            slic(small, n_segments=24, compactness=12, sigma=1.5, start_label=0),
            slic(small, n_segments=90, compactness=9, sigma=1, start_label=0),
            felzenszwalb(small, scale=250, sigma=0.8, min_size=250),
            felzenszwalb(small, scale=90, sigma=0.8, min_size=80),
        )
        found.append(Photograph(filename.split(".")[0], pixels, tuple(s.astype(np.int32) for s in segmentations)))
    return tuple(found)


@lru_cache(maxsize=2)
def _reference_statistics(split: str) -> tuple[LabStatistics, ...]:
    """Statistics of every coarse segment of the split's photographs, the references of colour transfer."""
    references = []
    for photograph in photographs(split):
        labels = photograph.segmentations[0]
        small = cv2.resize(photograph.pixels, labels.shape[::-1], interpolation=cv2.INTER_AREA)
        references += [
            LabStatistics.of(small[labels == label]) for label in range(labels.max() + 1) if (labels == label).any()
        ]
    return tuple(references)


def _grown_region(rng: np.random.Generator, labels: NDArray[np.int32], share: float) -> Pixels:
    """A connected union of neighbouring segments with about `share` of the area, grown from a random one; 0 or 255."""
    count = int(labels.max()) + 1
    areas = np.bincount(labels.ravel(), minlength=count)
    pairs = np.concatenate(
        [
            np.stack([labels[:, 1:].ravel(), labels[:, :-1].ravel()]),
            np.stack([labels[1:].ravel(), labels[:-1].ravel()]),
        ],
        axis=1,
    )
    touching = np.zeros((count, count), bool)
    touching[pairs[0], pairs[1]] = True
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
    count = int(rng.integers(4, 9)) if rng.random() < 0.5 else 60
    angle = (
        np.sort(rng.uniform(0, 2 * np.pi, count)) if count < 60 else np.linspace(0, 2 * np.pi, count, endpoint=False)
    )
    if count < 60:
        radius = rng.uniform(0.6, 1.0, count)
    else:
        waves = sum(rng.normal(0, 0.12 / k) * np.cos(k * angle + rng.uniform(0, 6.3)) for k in range(2, 6))
        radius = 1 + waves
    axes = rng.uniform(0.16, 0.42, 2) * (width, height)
    turn = rng.uniform(0, np.pi)
    x, y = radius * np.cos(angle) * axes[0], radius * np.sin(angle) * axes[1]
    centre = rng.uniform(0.25, 0.75, 2) * (width, height)
    points = np.stack(
        [centre[0] + x * np.cos(turn) - y * np.sin(turn), centre[1] + x * np.sin(turn) + y * np.cos(turn)], 1
    )
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [points.round().astype(np.int32)], (255,))
    return mask


def _random_mask(rng: np.random.Generator, labels: NDArray[np.int32], size: tuple[int, int]) -> Pixels:
    height, width = size
    if rng.random() < 0.2:
        mask = _drawn_region(rng, height, width)
    else:
        # Log-uniform: small foregrounds are as common as large ones.
        region = _grown_region(rng, labels, float(np.exp(rng.uniform(np.log(0.04), np.log(0.40)))))
        smooth = cv2.GaussianBlur(
            cv2.resize(region, (width, height), interpolation=cv2.INTER_LINEAR), (0, 0), height / 128 + 0.5
        )
        mask = np.where(smooth > 127, 255, 0).astype(np.uint8)
    return mask


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
    labels = labels[
        int(top * scale) : int((top + crop_height) * scale), int(left * scale) : int((left + crop_width) * scale)
    ]
    way = cv2.INTER_AREA if crop_height > height else cv2.INTER_LINEAR
    view = cv2.resize(view, (width, height), interpolation=way).astype(np.uint8, copy=False)
    if rng.random() < 0.5:
        view, labels = view[:, ::-1], labels[:, ::-1]
    if rng.random() < 0.15:
        view, labels = view[::-1], labels[::-1]
    return np.ascontiguousarray(view), np.ascontiguousarray(labels)


def random_view(rng: np.random.Generator, size: tuple[int, int], split: str = "train") -> Pixels:
    """A crop of one of the split's photographs, uint8 [height, width, 3]."""
    return _crop(rng, _draw(rng, split), size)[0]


def _draw(rng: np.random.Generator, split: str) -> Photograph:
    choices = photographs(split)
    return one_of(rng, choices, [_WEIGHTS.get(photograph.name, 1.0) for photograph in choices])


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


def change_foreground(rng: np.random.Generator, truth: Pixels, mask: Pixels, split: str) -> Pixels | None:
    """The truth with the masked part changed; None if no draw made a suitable difference."""
    x, y, width, height = cv2.boundingRect(mask)
    box = (slice(y, y + height), slice(x, x + width))
    rows, columns = np.nonzero(mask[box])
    picked = rng.integers(rows.size, size=400)
    rows, columns = rows[picked], columns[picked]
    samples = truth[box][rows, columns]
    own = LabStatistics.of(samples)
    at_x = (2 * columns / max(width - 1, 1) - 1).astype(np.float32)
    at_y = (2 * rows / max(height - 1, 1) - 1).astype(np.float32)
    references = _reference_statistics(split)
    for _ in range(6):
        reference = references[rng.integers(len(references))] if rng.random() < 0.6 else None
        adjustment: Adjustment = random_adjustment(rng, own, reference)
        changed = adjustment.apply_to_samples(samples, at_x, at_y)
        error = np.mean((changed.astype(np.float32) - samples) ** 2)
        if 80 <= error <= 7000 and clipped_share(samples, changed) < 0.10:
            composite = truth.copy()
            cv2.copyTo(adjustment.apply(truth[box]), mask[box], composite[box])
            return composite
    return None


def split_of(seed: int) -> str:
    """The split of the photographs that a seed uses."""
    return "train" if seed < HELD_OUT_FROM else "held out"


def make_photo_composite(seed: int, size: tuple[int, int], split: str | None = None) -> PhotoComposite:
    """A composite of one photograph; equal arguments give equal composites.

    size: (height, width). split: "train" or "held out"; by default that of the seed.
    """
    split = split or split_of(seed)
    for attempt in range(100):
        rng = np.random.default_rng((seed, attempt, 1))
        view, labels = _crop(rng, _draw(rng, split), size)
        truth = _jittered(rng, view) if split == "train" or rng.random() < 0.5 else view
        mask = _random_mask(rng, labels, size)
        if not 0.03 <= np.count_nonzero(mask) / mask.size <= 0.6:
            continue
        composite = change_foreground(rng, truth, mask, split)
        if composite is not None:
            return PhotoComposite(composite, truth, mask)
    raise RuntimeError(f"no photo composite for seed {seed}")
