"""Strength and layers of pictures that are kept."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from concord_client.composition import at_strength, layer_of
from concord_client.errors import InvalidInput

SHAPES = array_shapes(min_dims=2, max_dims=2, max_side=70)
BYTES = st.integers(0, 255)


@st.composite
def pairs(draw, channels=(3, 4)):
    """A photograph, with alpha or without, and another that equals it at some pixels; alpha is opaque elsewhere."""
    shape = (*draw(SHAPES), draw(st.sampled_from(channels)))
    before = draw(arrays(np.uint8, shape, elements=BYTES))
    changed = draw(arrays(np.bool_, shape[:2]))
    after = np.where(changed[..., np.newaxis], draw(arrays(np.uint8, shape, elements=BYTES)), before)
    if shape[2] == 4:
        before[changed, 3] = after[changed, 3] = 255
    return before, after


@given(pairs())
def test_a_layer_over_the_photograph_is_the_picture_bit_for_bit(pair):
    before, after = pair
    layer = layer_of(before, after)
    laid = Image.alpha_composite(Image.fromarray(before).convert("RGBA"), Image.fromarray(layer))
    np.testing.assert_array_equal(np.asarray(laid), np.asarray(Image.fromarray(after).convert("RGBA")))
    assert set(np.unique(layer[..., 3])) <= {0, 255}


@given(pairs(), st.floats(0, 1.5))
@settings(max_examples=50)
def test_a_strength_is_rounded_and_clipped_once(pair, strength):
    before, after = pair
    exact = before + strength * (after.astype(float) - before)
    np.testing.assert_array_equal(at_strength(before, after, strength), np.clip(np.floor(exact + 0.5), 0, 255))


@given(pairs())
@settings(max_examples=20)
def test_the_ends_of_strength_are_the_pictures(pair):
    before, after = pair
    np.testing.assert_array_equal(at_strength(before, after, 0), before)
    np.testing.assert_array_equal(at_strength(before, after, 1), after)


@pytest.mark.parametrize("strength", [-0.01, 1.51, math.nan, math.inf, -math.inf, "1", True])
def test_a_strength_that_cannot_be_is_refused(strength):
    with pytest.raises(InvalidInput, match=r"STRENGTH: .* a number from 0.0 to 1.5"):
        at_strength(np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1, 3), np.uint8), strength)


def test_a_layer_over_a_transparent_part_is_refused():
    before = np.zeros((2, 2, 4), np.uint8)
    after = before.copy()
    after[1, 1, 0] = 1
    with pytest.raises(InvalidInput, match=r"OUTPUT: .* transparent"):
        layer_of(before, after)


def test_pictures_of_two_sizes_are_refused():
    for function in (layer_of, lambda before, after: at_strength(before, after, 1)):
        with pytest.raises(ValueError, match=r"\[2, 2, 3\] and \[2, 3, 3\]"):
            function(np.zeros((2, 2, 3), np.uint8), np.zeros((2, 3, 3), np.uint8))
