"""OpenAI's shapes: their masks the other way round, and events that their own package's types accept."""

import base64
import io

import numpy as np
import pytest
from openai.types import ImageEditCompletedEvent, ImageEditPartialImageEvent, ImagesResponse
from PIL import Image

from concord.errors import ImageTooLarge, InvalidImage, InvalidMask
from concord.limits import Limits
from facade.openai import shapes as openai_shapes
from facade.openai.shapes import (
    Shape,
    completed_event,
    foreground_of,
    openai_problem,
    partial_event,
    recoded,
    shown_steps,
    size_of,
)
from facade.problems import Problem
from tests.serving.pictures import decoded, encoded, photograph

SHAPE = Shape("webp", "auto", "high")


def rgba(alpha: np.ndarray) -> bytes:
    """A picture of that opacity."""
    return encoded(np.dstack([photograph(alpha.shape[1], alpha.shape[0]), alpha]))


def test_transparent_is_where_the_picture_changes():
    alpha = np.array([[0, 127, 128, 255]], np.uint8)
    assert decoded(foreground_of(rgba(alpha), Limits())).tolist() == [[255, 255, 0, 0]]


def test_a_palette_with_a_transparent_colour_is_a_mask():
    picture = Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8), "P")
    picture.putpalette([0, 0, 0, 255, 255, 255])
    mask = foreground_of(encoded(picture, "PNG", transparency=1), Limits())
    assert decoded(mask).tolist() == [[0, 255], [255, 0]]


def test_a_mask_is_turned_upright_as_the_photograph_is():
    exif = Image.Exif()
    exif[274] = 6
    picture = Image.fromarray(np.dstack([photograph(2, 1), np.array([[0, 255]], np.uint8)]))
    assert decoded(foreground_of(encoded(picture, "PNG", exif=exif), Limits())).tolist() == [[255], [0]]


@pytest.mark.parametrize(
    "mask, reason",
    [
        (encoded(photograph(4, 4)), "no transparency"),
        (encoded(np.full((4, 4, 1), 255, np.uint8)), "no transparency"),
        (rgba(np.full((4, 4), 255, np.uint8)), "none of it is transparent"),
    ],
)
def test_a_mask_of_our_own_polarity_is_refused_and_not_guessed_at(mask, reason):
    with pytest.raises(InvalidMask, match=reason):
        foreground_of(mask, Limits())


def test_a_mask_is_bounded_as_images_are():
    with pytest.raises(ImageTooLarge):
        foreground_of(rgba(np.zeros((4, 4), np.uint8)), Limits(max_pixels=15))
    with pytest.raises(InvalidImage):
        foreground_of(b"no picture", Limits())


@pytest.mark.parametrize(
    "total, partial_images, steps",
    [(5, 0, set()), (5, 1, {2}), (5, 2, {1, 3}), (5, 3, {1, 2, 3}), (50, 3, {12, 25, 37}), (1, 3, {1}), (2, 3, {1})],
)
def test_partial_images_are_spread_over_the_steps(total, partial_images, steps):
    assert shown_steps(total, partial_images) == steps


@pytest.mark.parametrize("output_format", ["png", "jpeg", "webp"])
def test_a_preview_comes_in_the_format_that_was_asked_for(output_format):
    picture = recoded(encoded(photograph(32, 16), "JPEG"), output_format)
    assert size_of(picture) == "32x16"
    assert Image.open(io.BytesIO(picture)).format == output_format.upper()


def test_events_are_what_the_package_expects():
    picture = encoded(photograph(8, 4))
    partial = ImageEditPartialImageEvent.model_validate(partial_event(picture, 2, SHAPE).model_dump(), strict=True)
    completed = ImageEditCompletedEvent.model_validate(completed_event(picture, 7, SHAPE).model_dump(), strict=True)
    assert (partial.partial_image_index, partial.size, partial.output_format) == (2, "8x4", "webp")
    assert base64.b64decode(completed.b64_json) == picture
    assert completed.usage.total_tokens == 0


def test_answers_are_what_the_package_expects():
    answer = openai_shapes.ImagesResponse(
        created=1, data=[{"b64_json": b"\0", "seed": 3}], output_format="png", size="8x4"
    )
    read = ImagesResponse.model_validate(answer.model_dump(), strict=True)
    assert read.data[0].b64_json == "AA=="


@pytest.mark.parametrize(
    "code, kind",
    [
        ("invalid_setting", "invalid_request_error"),
        ("unauthorized", "authentication_error"),
        ("rate_limited", "rate_limit_error"),
        ("unavailable", "server_error"),
    ],
)
def test_a_problem_is_an_error_of_a_type_too(code, kind):
    problem = Problem(code, "words", field="steps", allowed="fewer")
    told = openai_problem(problem, "an-id")
    assert (told.error.type, told.error.code, told.error.param) == (kind, code, "steps")
    assert told.error.message == "steps: words; allowed: fewer"
    assert told.model_dump(exclude={"error"}) == problem.details("an-id").model_dump()
