"""The photographs of the demonstration, and the page that shows them before and after."""

import re

import numpy as np
import pytest

from concord.gates.metrics import foreground_mse
from concord.scenes.photographs import _FILES
from demo.drawing import Drawing
from demo.examples import COMPOSITES, TRAINED_ON, truth_path
from demo.examples.__main__ import MADE
from demo.examples.outlines import OUTLINES
from demo.page import Parts, written
from demo.shown import Answer, Shown
from facade.page.examples import EXAMPLES

by_name = pytest.mark.parametrize("composite", COMPOSITES, ids=lambda each: each.name)


@by_name
def test_an_example_is_a_small_file_and_its_mask_is_the_one_that_is_made_again(composite):
    files = (composite.example.path, composite.example.mask, truth_path(composite.name))
    assert all(file.stat().st_size <= 80_000 for file in files)
    assert np.array_equal(composite.mask, OUTLINES[composite.name].mask(composite.truth))


@by_name
def test_an_example_is_wrong_inside_its_mask_and_only_there(composite):
    inside = foreground_mse(composite.pixels, composite.truth, composite.mask)
    outside = foreground_mse(composite.pixels, composite.truth, 255 - composite.mask)
    assert inside > 1000 and outside < inside / 40


def test_what_is_called_unseen_was_held_out():
    held_out = {file for _, file, _ in _FILES["held out"]}
    assert {name for name, (_, file, _) in MADE.items() if file not in held_out} == TRAINED_ON


def test_the_page_needs_no_network_and_holds_every_picture():
    def shown(title: str) -> Shown:
        picture, mask = np.full((8, 8, 3), 90, np.uint8), np.full((8, 8), 255, np.uint8)
        answers = [Answer(model, picture, mask, 1.0, 30.0, 1.0, 0.1) for model in ("one", "other")]
        return Shown(title, True, picture, picture + np.uint8(9), mask, answers)

    picture = np.full((8, 8, 3), 90, np.uint8)
    edited, drawn = (Drawing("a <star>", "one", picture, 0.1, before) for before in (picture, None))
    page = written(Parts([shown("the <cup>")], [shown("the red moon")], [shown("the bar")], [edited], [drawn]))
    # Before, two answers, the truth and the mask; an edit has no truth, and what was drawn no before.
    assert len(re.findall(r'<img[^>]* src="data:image/jpeg', page)) == 3 * 5 + 2 + 1
    assert not re.findall(r"(?:src|href)=[\"'](?!data:)|url\(|https?:", page)
    assert "the &lt;cup&gt;" in page and "<cup>" not in page and "<star>" not in page


def test_every_example_has_its_files():
    assert all(each.path.exists() and (each.mask is None or each.mask.exists()) for each in EXAMPLES)
