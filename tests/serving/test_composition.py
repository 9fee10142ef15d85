"""STRENGTH and OUTPUT, of an ensemble and of a loop."""

import math

import numpy as np
import pytest
from PIL import Image
from tritonclient.utils import InferenceServerException

from concord_client.composition import at_strength
from tests.serving.asking import ask
from tests.serving.pictures import decoded, encoded, middle, photograph
from tests.serving.streams import stream, wire

PIXELS, MASK = photograph(120, 90), middle(120, 90)
GIVEN = {"IMAGE": encoded(PIXELS), "MASK": encoded(MASK)}


@pytest.fixture(params=["ensemble", "loop"])
def harmonize(request, server, diffusing):
    """Asks for the picture, with settings."""
    if request.param == "loop":
        return lambda **inputs: decoded(stream(diffusing, GIVEN | {"SEED": 7, "STEPS": 1} | inputs)[-1]["HARMONIZED"])
    return lambda **inputs: decoded(ask(server, "harmonize_ht", wire(GIVEN | inputs))["HARMONIZED"].item())


def test_no_strength_gives_the_photograph_and_full_strength_the_answer(harmonize):
    np.testing.assert_array_equal(harmonize(STRENGTH=0), PIXELS)
    np.testing.assert_array_equal(harmonize(STRENGTH=1), harmonize())


@pytest.mark.parametrize("strength", [0.25, 1.5])
def test_the_answer_is_what_a_kept_picture_gives(harmonize, strength):
    whole, answer = harmonize(), harmonize(STRENGTH=strength)
    np.testing.assert_array_equal(answer[MASK == 0], PIXELS[MASK == 0])
    kept = at_strength(PIXELS, whole, strength)
    unclipped = (whole > 0) & (whole < 255)
    assert (np.abs(kept.astype(int) - answer)[unclipped] <= 1).all()
    assert (answer != PIXELS).any()


@pytest.mark.parametrize("strength", [-0.1, 1.51, math.nan, math.inf])
def test_a_strength_out_of_range_is_refused_by_name(harmonize, strength):
    with pytest.raises(InferenceServerException, match=r"\[invalid_setting\] STRENGTH: .* a number from 0.0 to 1.5"):
        harmonize(STRENGTH=strength)


def test_a_layer_over_the_photograph_is_the_picture(harmonize):
    picture, layer = harmonize(STRENGTH=0.75), harmonize(STRENGTH=0.75, OUTPUT=b"layer")
    laid = Image.alpha_composite(Image.fromarray(PIXELS).convert("RGBA"), Image.fromarray(layer))
    np.testing.assert_array_equal(np.asarray(laid.convert("RGB")), picture)
    np.testing.assert_array_equal(layer[..., 3] > 0, (picture != PIXELS).any(axis=2))


def test_another_output_is_refused(harmonize):
    with pytest.raises(InferenceServerException, match=r"\[invalid_setting\] OUTPUT: .*picture, layer"):
        harmonize(OUTPUT=b"psd")


def test_a_layer_over_a_transparent_part_is_refused(server):
    pixels = photograph(120, 90, channels=4)
    inputs = {"IMAGE": encoded(pixels), "MASK": GIVEN["MASK"], "OUTPUT": b"layer"}
    with pytest.raises(InferenceServerException, match="transparent where it changes"):
        ask(server, "harmonize_ht", wire(inputs))
    pixels[MASK > 0, 3] = 255
    layer = decoded(ask(server, "harmonize_ht", wire(inputs | {"IMAGE": encoded(pixels)}))["HARMONIZED"].item())
    picture = decoded(
        ask(server, "harmonize_ht", {"IMAGE": encoded(pixels), "MASK": GIVEN["MASK"]})["HARMONIZED"].item()
    )
    laid = Image.alpha_composite(Image.fromarray(pixels), Image.fromarray(layer))
    np.testing.assert_array_equal(np.asarray(laid), picture)


def test_a_text_takes_both(server):
    inputs = {"IMAGE": GIVEN["IMAGE"], "TEXT": b"the red ball", "OUTPUT": b"layer", "STRENGTH": 0}
    assert not decoded(ask(server, "segment_harmonize_ht", wire(inputs))["HARMONIZED"].item()).any()
