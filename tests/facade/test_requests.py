"""Requests of any task: what is missing or too much, settings in their written form, and the smallest there is."""

from dataclasses import dataclass
from typing import ClassVar

import pytest

from concord_client.catalogue import Catalogue, Pipeline
from concord_client.settings import Setting
from concord_client.tasks.fields import received, sent
from concord_client.tasks.harmonize import Harmonize
from concord_client.tasks.request import Answer, Request
from concord_client.tasks.segment import Segment
from facade.problems import Problem
from facade.work.catalogue import merged
from facade.work.requests import made, read_settings, smallest

SEED = Setting.parse("SEED", "TYPE_INT64", "; 0..9; of the noise")
STEPS = Setting.parse("STEPS", "TYPE_INT32", "5; 2..50; of the model")
SIDE = Setting.parse("SIDE", "TYPE_INT32", "512; 512|256; in pixels")
SHARPER = Setting.parse("SHARPER", "TYPE_BOOL", "true; false|true; or not")
STEPPING = Pipeline(
    "stepping",
    "harmonize",
    "slow",
    required=frozenset({"IMAGE"}),
    optional=frozenset({"MASK", "TEXT"}),
    settings={each.name: each for each in (SEED, STEPS, SIDE, SHARPER)},
)
AT_ONCE = Pipeline("at_once", "harmonize", "fast", required=frozenset({"IMAGE", "MASK"}))
CATALOGUE = Catalogue([STEPPING, AT_ONCE])


@dataclass(frozen=True)
class Drawn(Answer):
    image: bytes = received("DRAWN", "what was drawn")


@dataclass(frozen=True)
class Draw(Request[Drawn]):
    TASK: ClassVar[str] = "draw"
    text: str = sent("TEXT", "what is to be seen")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"image": b"i"}, ("missing_field", "text", "text or mask")),
        ({"image": b"i", "text": None, "mask": None}, ("missing_field", "text", "text or mask")),
        ({"image": b"i", "text": "t", "mask": b"m"}, ("invalid_setting", "mask", "text or mask")),
    ],
    ids=["neither", "none", "both"],
)
def test_fields_that_exclude_each_other_are_given_once(values, expected):
    with pytest.raises(Problem) as refused:
        made(Harmonize, values)
    assert (refused.value.code, refused.value.field, refused.value.allowed) == expected


def test_settings_are_read_as_they_are_declared():
    texts = {"seed": "7", "side": "256", "sharper": "False"}
    assert read_settings(texts, STEPPING, CATALOGUE) == {"seed": 7, "side": 256, "sharper": False}


@pytest.mark.parametrize(
    ("pipeline", "texts", "expected"),
    [
        (STEPPING, {"steps": "many"}, ("invalid_setting", "steps", "a whole number from 2 to 50")),
        (STEPPING, {"strength": "1"}, ("unexpected_field", "strength", "seed, steps, side, sharper")),
        (AT_ONCE, {"steps": "5"}, ("invalid_setting", "steps", "no settings; steps with model=slow")),
    ],
    ids=["no number", "no model's", "another model's"],
)
def test_a_setting_that_cannot_be_is_refused_with_what_can(pipeline, texts, expected):
    with pytest.raises(Problem) as refused:
        read_settings(texts, pipeline, CATALOGUE)
    assert (refused.value.code, refused.value.field, refused.value.allowed) == expected


def test_the_smallest_request_has_what_is_required_and_the_cheapest_settings():
    request, settings = smallest(Harmonize, STEPPING)
    assert request.image and request.mask and request.text is None
    assert settings == {"seed": 0, "steps": 2, "side": 256}


@pytest.mark.parametrize("task", [Draw, Segment])
def test_the_smallest_request_to_a_model_that_needs_a_text_has_one(task):
    inputs = frozenset(field.tensor for field in task.fields())
    request, _ = smallest(task, Pipeline("any", task.TASK, "any", required=inputs))
    assert request.text and {field.tensor for field in request.given()} == inputs


def test_a_setting_of_several_models_may_be_what_any_of_them_takes():
    wider = Setting.parse("STEPS", "TYPE_INT32", "9; 1..9; of another")
    other = Pipeline("other", "harmonize", "other", settings={"STEPS": wider})
    steps = merged([STEPPING, other])["steps"]
    assert (steps.lowest, steps.highest, steps.default) == (1, 50, 5)
