"""Scenes of lit objects, one of which is changed afterwards, so that the truth is known; with texts that name it."""

from dataclasses import dataclass
from functools import partial
from itertools import islice

import cv2
import numpy as np
from numpy.typing import NDArray

from concord.arrays import Floats, Pixels
from concord.masks import binary
from concord.scenes import lighting, photographs, textures
from concord.scenes.adjustments import KINDS, change_part, picked, random_adjustment
from concord.scenes.chance import one_of
from concord.scenes.colours import PAINTS, colour_word, paint
from concord.scenes.expressions import Described, expressions
from concord.scenes.shapes import SHAPES, outline

_SUBPIXEL_BITS = 4
_NAMES = tuple(PAINTS)
_NAME_WEIGHTS = tuple({"black": 0.25, "white": 0.65}.get(name, 1.0) for name in _NAMES)


@dataclass(frozen=True)
class Referral:
    """An object's mask [H, W] (0 or 255), and expressions that only it satisfies: one, and equally good others."""

    mask: Pixels
    expression: str
    alternatives: tuple[str, ...]


@dataclass(frozen=True)
class Scene:
    """A composite and its truth uint8 [H, W, 3], the mask of the changed object [H, W] (0 or 255), and a text for it.

    objects: all of them as they look in the composite; target: the index of the changed one.
    referrals: every object that a text can identify, the target first.
    """

    composite: Pixels
    truth: Pixels
    mask: Pixels
    expression: str
    alternatives: tuple[str, ...]
    objects: tuple[Described, ...]
    target: int
    referrals: tuple[Referral, ...]


@dataclass(frozen=True)
class _Plan:
    """An object before it is drawn: centre, radius and outline in pixels, and its paint (gamma-encoded RGB)."""

    shape: str
    name: str
    centre: tuple[float, float]
    radius: float
    polygons: list[NDArray[np.int32]]
    paint: Floats


def _layout(rng: np.random.Generator, size: tuple[int, int], most: int) -> list[tuple[float, float, float]]:
    """Centres and radii in pixels of 2 to `most` objects that do not touch."""
    height, width = size
    side = min(size)
    wanted = min(one_of(rng, (2, 3, 4, 5), (0.2, 0.35, 0.3, 0.15)), most)
    crowding = (1.0, 1.0, 0.97, 0.9)[wanted - 2]
    placed: list[tuple[float, float, float]] = []
    for _ in range(60):
        if len(placed) == wanted:
            break
        low, high = one_of(rng, ((0.095, 0.125), (0.13, 0.17), (0.18, 0.265)), (0.28, 0.36, 0.36))
        radius = rng.uniform(low, high) * side * crowding
        x = rng.uniform(radius * 1.05, width - radius * 1.05)
        y = rng.uniform(radius * 1.05, height - radius * 1.05)
        if all(np.hypot(x - px, y - py) > 1.02 * (radius + pr) + 0.01 * side for px, py, pr in placed):
            placed.append((x, y, radius))
    return placed


def _attributes(rng: np.random.Generator, count: int, ground: Floats) -> list[tuple[str, str, Floats]]:
    """Shape, colour name and paint of each object; a later one often shares a shape or a colour with an earlier one."""
    chosen: list[tuple[str, str, Floats]] = []
    for _ in range(count):
        shape = one_of(rng, SHAPES)
        name = one_of(rng, _NAMES, _NAME_WEIGHTS)
        colour = paint(rng, name)
        for _ in range(6):
            if np.abs(colour - ground).max() > 0.22:
                break
            name = one_of(rng, _NAMES, _NAME_WEIGHTS)
            colour = paint(rng, name)
        if chosen:
            like_shape, like_name, _ = chosen[rng.integers(len(chosen))]
            likeness = rng.random()
            if likeness < 0.30:
                shape = like_shape
            elif likeness < 0.52:
                name, colour = like_name, paint(rng, like_name)
            elif likeness < 0.66:
                shape, name, colour = like_shape, like_name, paint(rng, like_name)
        chosen.append((shape, name, colour))
    return chosen


def _background(rng: np.random.Generator, size: tuple[int, int], split: str) -> Pixels:
    if rng.random() >= 0.2:
        return textures.surface(rng, size)
    view = photographs.random_view(rng, size, split)
    if rng.random() >= 0.6:
        return view
    return cv2.GaussianBlur(view, (0, 0), rng.uniform(0.8, 5) * min(size) / 256).astype(np.uint8, copy=False)


def _shadow(plans: list[_Plan], size: tuple[int, int], illumination: lighting.Illumination) -> Floats:
    """The share of direct light that the objects block at each point, 0..1: outlines swept away from the light."""
    side = min(size)
    shadow = np.zeros(size, np.uint8)
    x, y, z = illumination.direction
    for plan in plans:
        reach = min(plan.radius * 0.75, 0.11 * side)
        for part in np.linspace(0.15, 1, 4):
            offset = -np.array([x, y]) / z * reach * part * 2**_SUBPIXEL_BITS
            moved = [polygon + offset.astype(np.int32) for polygon in plan.polygons]
            layer = np.zeros_like(shadow) if len(moved) > 1 else shadow
            cv2.fillPoly(layer, moved, (255,), cv2.LINE_AA, _SUBPIXEL_BITS)
            if len(moved) > 1:
                np.maximum(shadow, layer, out=shadow)
    return cv2.GaussianBlur(shadow, (0, 0), max(0.7, illumination.softness * side)).astype(np.float32) * (0.88 / 255)


def _draw_object(rng: np.random.Generator, linear: Floats, plan: _Plan, illumination: lighting.Illumination) -> Pixels:
    """Draws one object onto the linear canvas and returns its coverage, uint8 [H, W]."""
    height, width = linear.shape[:2]
    reach = int(plan.radius * 1.25) + 3
    left, top = max(0, int(plan.centre[0]) - reach), max(0, int(plan.centre[1]) - reach)
    box = (slice(top, min(height, top + 2 * reach)), slice(left, min(width, left + 2 * reach)))
    alpha = np.zeros(linear[box].shape[:2], np.uint8)
    origin = np.array([left, top], np.int32) << _SUBPIXEL_BITS
    cv2.fillPoly(alpha, [polygon - origin for polygon in plan.polygons], (255,), cv2.LINE_AA, _SUBPIXEL_BITS)

    thickness = {"ball": 1.0, "bar": 0.26, "ring": 0.24, "cross": 0.3, "star": 0.4, "moon": 0.35}.get(plan.shape, 0.5)
    bevel = plan.radius * thickness * (1 if plan.shape == "ball" else rng.uniform(0.45, 1.0))
    rim, normals = lighting.bulge(alpha, max(2.0, bevel))
    relief = textures.relief(rng, (alpha.shape[0], alpha.shape[1]), plan.radius)
    colour = (plan.paint**2)[None, None] * relief[..., None]
    side = min(height, width)
    falloff = illumination.falloff_at((plan.centre[0] - width / 2) / side, (plan.centre[1] - height / 2) / side)
    gloss = (float(rng.uniform(0.1, 0.45)), int(rng.integers(4, 7)))
    lit = lighting.light_object(colour, rim, normals, illumination, gloss, float(falloff))
    share = alpha.astype(np.float32)[..., None] / 255
    linear[box] += share * (lit - linear[box])
    coverage = np.zeros((height, width), np.uint8)
    coverage[box] = alpha
    return coverage


def _encoded(linear: Floats) -> Pixels:
    return np.minimum(np.sqrt(linear) * 255 + 0.5, 255).astype(np.uint8)


def mean_colour(samples: Pixels) -> Floats:
    """Mean of pixels [N, 3] without the brightest tenth, which may be a highlight and not the paint; RGB in 0..1."""
    brightness = samples.sum(1, dtype=np.int32)
    kept = samples[brightness <= np.partition(brightness, -(brightness.size // 10))[-(brightness.size // 10)]]
    return np.asarray(kept.mean(0, dtype=np.float32) / 255, np.float32)


def _change(rng: np.random.Generator, truth: Pixels, coverage: Pixels, word: str | None) -> Pixels | None:
    """The composite: one object changed so that its colour word stays true; None if no draw does that."""
    kinds = tuple(kind for kind in KINDS if word != "black" or kind not in ("hue", "saturation"))

    def is_suitable(after: Pixels, error: float, clipped: float) -> bool:
        seen = 300 <= error <= 7000 and clipped <= 0.06
        return seen and (word is None or colour_word(mean_colour(after)) == word)

    draw = partial(random_adjustment, rng, strength=1.15, kinds=kinds)
    return change_part(rng, truth, coverage, 10, draw, is_suitable)


def _planned(rng: np.random.Generator, size: tuple[int, int], ground: Floats, most: int) -> list[_Plan]:
    places = _layout(rng, size, most)
    plans = []
    for (x, y, radius), (shape, name, colour) in zip(places, _attributes(rng, len(places), ground), strict=True):
        polygons = [
            ((polygon * radius + (x, y)) * 2**_SUBPIXEL_BITS).round().astype(np.int32)
            for polygon in outline(rng, shape)
        ]
        plans.append(_Plan(shape, name, (x, y), radius, polygons, colour))
    return plans


def _describe(plan: _Plan, size: tuple[int, int], word: str | None) -> Described:
    height, width = size
    (x, y), side = plan.centre, min(size)
    return Described(plan.shape, word, x / width, y / height, x / side, y / side, plan.radius / side)


def _referral(
    rng: np.random.Generator, objects: tuple[Described, ...], index: int, coverage: Pixels
) -> Referral | None:
    said = list(islice(expressions(rng, objects, index), 5))
    if not said:
        return None
    return Referral(binary(coverage), said[0], tuple(said[1:]))


def _attempt(rng: np.random.Generator, size: tuple[int, int], split: str, most: int) -> Scene | None:
    background = _background(rng, size, split)
    ground = cv2.resize(background, (1, 1), interpolation=cv2.INTER_AREA)[0, 0].astype(np.float32) / 255
    plans = _planned(rng, size, ground, most)
    if len(plans) < 2:
        return None
    illumination = lighting.random_illumination(rng)
    linear = background.astype(np.float32) / 255
    linear *= linear
    lighting.light_ground(linear, _shadow(plans, size, illumination), illumination)
    coverages = [_draw_object(rng, linear, plan, illumination) for plan in plans]
    truth = _encoded(linear)

    words = []
    for plan, coverage in zip(plans, coverages, strict=True):
        rows, columns = picked(rng, coverage)
        word = colour_word(mean_colour(truth[rows, columns]))
        # A word other than the paint's would be true of the composite but not of the truth.
        words.append(word if word == plan.name else None)
    objects = tuple(_describe(plan, size, word) for plan, word in zip(plans, words, strict=True))
    order = [int(index) for index in rng.permutation(len(plans))]
    order.sort(key=lambda index: words[index] is None)
    for target in order:
        referral = _referral(rng, objects, target, coverages[target])
        changed = _change(rng, truth, coverages[target], words[target]) if referral is not None else None
        if referral is None or changed is None:
            continue
        others = (_referral(rng, objects, i, coverages[i]) for i in range(len(plans)) if i != target)
        said = (referral.mask, referral.expression, referral.alternatives)
        return Scene(changed, truth, *said, objects, target, (referral, *filter(None, others)))
    return None


def make_scene(seed: int, size: tuple[int, int] = (256, 256), most: int = 5) -> Scene:
    """A scene of `size` (height, width; each at least 64) with 2 to `most` objects; equal arguments give equal scenes.

    Seeds from photographs.HELD_OUT_FROM on are held out. Only they use the held-out photographs.
    """
    split = photographs.split_of(seed)
    for attempt in range(100):
        scene = _attempt(np.random.default_rng((seed, attempt, 0)), size, split, most)
        if scene is not None:
            return scene
    raise RuntimeError(f"no scene for seed {seed}")
