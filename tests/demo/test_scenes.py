import re

import cv2
import numpy as np
import pytest

from concord.scenes.colours import PAINTS, colour_word
from concord.scenes.expressions import ANYTHING, SHAPE_WORDS
from concord.scenes.photographs import HELD_OUT_FROM
from concord.scenes.scene import Scene, make_scene
from concord.tokenizer import Tokenizer

SEEDS = (*range(60), *range(HELD_OUT_FROM, HELD_OUT_FROM + 60))
SIZE = (160, 160)
SHAPE_OF = {word: shape for shape, words in SHAPE_WORDS.items() for word in words}


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [make_scene(seed, SIZE) for seed in SEEDS]


def named(words: list[str], scene: Scene) -> list[int]:
    """Objects that "red ball", "ball" or "red thing" can mean, an unclear colour counting as any."""
    colours = [word for word in words if word in PAINTS]
    shapes = [SHAPE_OF[word] for word in words if word in SHAPE_OF]
    assert len(colours) <= 1 and len(shapes) <= 1
    assert shapes or set(words) & set(ANYTHING), words
    return [
        index
        for index, one in enumerate(scene.objects)
        if (not colours or one.colour in (colours[0], None)) and (not shapes or one.shape == shapes[0])
    ]


def first_and_clear(values: dict[int, float], margin: float) -> int:
    """The index of the smallest value, which must be smaller than the next by the margin."""
    order = sorted(values, key=values.__getitem__)
    assert len(order) == 1 or values[order[0]] + margin <= values[order[1]], values
    return order[0]


def referent(expression: str, scene: Scene) -> int:
    """The one object that a reader would take the expression to mean."""
    text = re.sub(r"\b(to the )?(left|right) of\b", r"\2-of", expression.removeprefix("the "))
    text = text.replace("next to", "near").replace("under ", "below ").replace("over ", "above ")
    related = re.fullmatch(r"(.*?) (left-of|right-of|near|above|below) the (.*)", text)
    if related:
        noun, relation, anchor_noun = related.groups()
        (anchor,) = named(anchor_noun.split(), scene)
        centre = scene.objects[anchor]
        candidates = [index for index in named(noun.split(), scene) if index != anchor]
        offsets = {i: (scene.objects[i].u - centre.u, scene.objects[i].v - centre.v) for i in candidates}
        if relation == "near":
            return first_and_clear({i: float(np.hypot(*offset)) for i, offset in offsets.items()}, 0.02)
        along = {"left-of": (-1, 0), "right-of": (1, 0), "above": (0, -1), "below": (0, 1)}[relation]
        # Within 45 degrees of the direction; the generator leaves a margin on both sides of that.
        inside = [i for i, (u, v) in offsets.items() if u * along[0] + v * along[1] > np.hypot(u, v) * np.sqrt(0.5)]
        assert len(inside) == 1, (expression, offsets)
        return inside[0]
    words = [
        word for word in re.split(r"[ ]", text.replace(" that is", "")) if word not in {"on", "at", "in", "the", "side"}
    ]
    words = [re.sub("most$", "", word).replace("upper", "top").replace("lower", "bottom") for word in words]
    candidates = {
        index: scene.objects[index]
        for index in named([w for w in words if w in PAINTS or w in SHAPE_OF or w in ANYTHING], scene)
    }
    for word in words:
        if word in {"big", "large", "biggest", "largest"}:
            return first_and_clear({i: -np.log(one.radius) for i, one in candidates.items()}, np.log(1.29))
        if word in {"small", "little", "smallest"}:
            return first_and_clear({i: np.log(one.radius) for i, one in candidates.items()}, np.log(1.29))
    if {"middle", "center"} & set(words):
        return first_and_clear({i: float(np.hypot(one.x - 0.5, one.y - 0.5)) for i, one in candidates.items()}, 0.1)
    sides = {
        word: {
            i: {"left": one.x, "right": 1 - one.x, "top": one.y, "bottom": 1 - one.y}[word]
            for i, one in candidates.items()
        }
        for word in words
        if word in {"left", "right", "top", "bottom"}
    }
    if len(sides) == 1:
        return first_and_clear(next(iter(sides.values())), 0.14)
    for distances in sides.values():
        candidates = {i: one for i, one in candidates.items() if distances[i] < 0.5}
    (only,) = candidates
    return only


def test_a_seed_always_gives_the_same_scene() -> None:
    for seed in (3, HELD_OUT_FROM + 3):
        first, second = make_scene(seed, SIZE), make_scene(seed, SIZE)
        assert np.array_equal(first.composite, second.composite)
        assert np.array_equal(first.truth, second.truth)
        assert (first.expression, first.alternatives) == (second.expression, second.alternatives)
    assert not np.array_equal(make_scene(3, SIZE).truth, make_scene(4, SIZE).truth)


@pytest.mark.parametrize("size", [(64, 64), (96, 200), (200, 96), (256, 256)], ids=str)
def test_a_scene_has_the_size_that_was_asked_for(size: tuple[int, int]) -> None:
    scene = make_scene(5, size)
    assert scene.composite.shape == scene.truth.shape == (*size, 3)
    assert scene.mask.shape == size
    assert scene.composite.dtype == scene.truth.dtype == scene.mask.dtype == np.uint8


def test_only_the_masked_object_was_changed(scenes: list[Scene]) -> None:
    for scene in scenes:
        inside = scene.mask == 255
        assert np.array_equal(scene.composite[~inside], scene.truth[~inside])
        error = np.mean((scene.composite[inside].astype(float) - scene.truth[inside]) ** 2)
        assert error > 100


def test_masks_are_binary_and_do_not_overlap(scenes: list[Scene]) -> None:
    for scene in scenes:
        masks = np.stack([referral.mask for referral in scene.referrals])
        assert set(np.unique(masks)) <= {0, 255}
        assert (masks > 0).sum(0).max() == 1
        assert np.array_equal(masks[0], scene.mask)


def test_every_expression_means_one_object_and_that_is_the_masked_one(scenes: list[Scene]) -> None:
    for scene in scenes:
        assert scene.expression == scene.referrals[0].expression
        for referral in scene.referrals:
            rows, columns = np.nonzero(referral.mask)
            for expression in (referral.expression, *referral.alternatives):
                meant = scene.objects[referent(expression, scene)]
                height, width = SIZE
                distance = np.hypot(columns.mean() - meant.x * width, rows.mean() - meant.y * height)
                assert distance < 0.6 * meant.radius * min(SIZE), (expression, scene.objects)


def test_colour_words_hold_in_the_composite(scenes: list[Scene]) -> None:
    agreeing = []
    for scene in scenes:
        colour = scene.objects[scene.target].colour
        if colour is None:
            continue
        core = cv2.erode(scene.mask, np.ones((3, 3), np.uint8)) > 0
        pixels = scene.composite[core if core.sum() > 20 else scene.mask > 0]
        dimmer = pixels[pixels.sum(1) <= np.quantile(pixels.sum(1), 0.9)]
        agreeing.append(colour_word(dimmer.mean(0) / 255) == colour)
    # The generator judges a random sample of the pixels, so a colour just inside its range may fall just outside here.
    assert np.mean(agreeing) > 0.95


def test_expressions_fit_the_text_encoder(scenes: list[Scene]) -> None:
    tokenizer = Tokenizer.load()
    for scene in scenes:
        for referral in scene.referrals:
            for expression in (referral.expression, *referral.alternatives):
                _, truncated = tokenizer.encode(expression.encode())
                assert not truncated, expression


def test_language_is_needed_to_find_the_object(scenes: list[Scene]) -> None:
    shared = 0
    for scene in scenes:
        own = scene.objects[scene.target]
        others = [one for index, one in enumerate(scene.objects) if index != scene.target]
        shared += any(one.shape == own.shape or one.colour == own.colour for one in others)
    assert shared > len(scenes) / 3
