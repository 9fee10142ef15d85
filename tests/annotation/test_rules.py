"""Suggestions by rule: words for what is seen, where most people would say so."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from annotation.iharmony4 import read_dataset
from annotation.picture import LONGEST, Picture
from annotation.rules import MOST, expressions
from annotation.traits import Traits
from annotation.wording import sameness
from concord.errors import InvalidMask
from tests.annotation.scenes import write_scenes


def painted(left: int, top: int, width: int, height: int, colour: tuple[int, int, int], *, is_round: bool = False):
    """A grey picture of 200 x 100 with one part."""
    composite = np.full((100, 200, 3), 120, np.uint8)
    mask = np.zeros((100, 200), np.uint8)
    if is_round:
        cv2.circle(mask, (left + width // 2, top + width // 2), width // 2, 255, -1)
    else:
        mask[top : top + height, left : left + width] = 255
    composite[mask > 0] = colour
    return Picture(composite, mask)


@pytest.mark.parametrize(
    ("picture", "traits"),
    [
        (painted(5, 5, 20, 20, (220, 30, 30)), Traits("red", "left", "top", "small", "square")),
        (painted(150, 60, 40, 40, (20, 40, 220), is_round=True), Traits("blue", "right", "bottom", "", "round")),
        (painted(90, 10, 20, 80, (250, 250, 250)), Traits("white", "", "", "", "tall")),
        (painted(0, 0, 200, 60, (128, 128, 128)), Traits("grey", "", "top", "large", "wide")),
        (painted(80, 30, 40, 40, (120, 80, 40)), Traits("brown", "", "", "", "square")),
    ],
)
def test_colour_place_size_and_shape_are_named(picture: Picture, traits: Traits) -> None:
    assert Traits.of(picture) == traits


def test_two_colours_are_named_where_each_is_much_of_the_part() -> None:
    picture = painted(80, 30, 40, 40, (220, 30, 30))
    picture.composite[30:45, 80:120] = (250, 250, 250)
    picture.composite[45:56, 80:120] = (60, 120, 120)
    assert Traits.of(picture).colour == "white and red"
    picture.composite[30:56, 80:120] = (60, 120, 120)
    assert Traits.of(picture).colour == ""


def test_expressions_are_of_both_styles_and_none_is_twice() -> None:
    found = expressions(Traits("red", "left", "", "small", "round"))
    assert found[:2] == ["the red object on the left", "the small round red object"]
    assert len(found) <= MOST and len({sameness(each) for each in found}) == len(found)
    assert expressions(Traits()) == ["the object in the middle"]


def test_every_sample_of_a_data_set_has_an_expression_and_an_outline(tmp_path: Path) -> None:
    write_scenes(tmp_path, 2)
    for sample in read_dataset(tmp_path).samples:
        picture = Picture.read(sample)
        assert expressions(Traits.of(picture))
        assert picture.path.startswith("M") and picture.path.endswith("Z")


def test_a_large_composite_is_made_as_large_as_a_screen(tmp_path: Path) -> None:
    write_scenes(tmp_path, 1)
    [sample] = read_dataset(tmp_path).samples
    for path in (sample.composite, sample.mask):
        picture = cv2.resize(cv2.imread(str(path)), (2560, 1920), interpolation=cv2.INTER_NEAREST)
        cv2.imwrite(str(path), picture)
    picture = Picture.read(sample)
    assert (picture.width, picture.height) == (LONGEST, LONGEST * 3 // 4) and set(np.unique(picture.mask)) == {0, 255}


def test_an_empty_mask_and_one_of_another_size_are_typed(tmp_path: Path) -> None:
    write_scenes(tmp_path, 1)
    [sample] = read_dataset(tmp_path).samples
    cv2.imwrite(str(sample.mask), np.zeros((96, 128), np.uint8))
    with pytest.raises(InvalidMask, match="no pixel is white"):
        Picture.read(sample)
    cv2.imwrite(str(sample.mask), np.full((96, 100), 255, np.uint8))
    with pytest.raises(InvalidMask, match="100x96"):
        Picture.read(sample)
