import io

import cv2
import numpy as np
import pytest
from PIL import Image

from concord.limits import Limits
from concord.masks import encode_mask
from facade.page.marks import boxed, cleared, filled, layer_of, painted, resized, rounded, uneven
from facade.page.tab_state import Forgotten, Photograph, TabState
from facade.problems import Problem
from facade.work.copies import copy_of
from tests.serving.pictures import decoded, encoded, middle, photograph, srgb_profile

SIZE = (90, 120)
LIMITS = Limits()


def ring() -> np.ndarray:
    mask = np.zeros(SIZE, np.uint8)
    cv2.circle(mask, (60, 45), 30, 255, 3)
    return mask


def put(folder, name: str, content: bytes):
    (folder / name).write_bytes(content)
    return folder / name


def visit_of(tmp_path, mask: np.ndarray | None = None, said: str = "", size=SIZE) -> TabState:
    """A visit with a photograph of `size` on a canvas of `SIZE`."""
    file = put(tmp_path, "photo.png", encoded(photograph(size[1], size[0])))
    return TabState(Photograph(file, 1, size, file, SIZE), None if mask is None else encode_mask(mask), said)


def test_a_layer_for_the_editor_comes_back_as_the_same_mask(tmp_path):
    layer = put(tmp_path, "layer.png", layer_of(ring()))
    assert np.array_equal(painted([layer], SIZE), ring())


def test_several_layers_are_one_mask_and_faint_edges_are_none(tmp_path):
    faint = np.zeros((*SIZE, 4), np.uint8)
    faint[:, :10, 3] = 60
    faint[:, 110:, 3] = 153
    layers = [put(tmp_path, "a.png", encoded(faint)), put(tmp_path, "b.png", layer_of(ring()))]
    mask = painted(layers, SIZE)
    assert not mask[:, :10].any() and mask[:, 110:].all() and np.all(mask[ring() > 0] == 255)


@pytest.mark.parametrize(
    "content",
    [b"", b"not a png", encoded(photograph(120, 90), "JPEG"), encoded(photograph(8, 8)), layer_of(ring())[:200]],
    ids=["empty", "no_picture", "jpeg", "another_size", "half"],
)
def test_a_layer_that_is_none_is_refused(tmp_path, content):
    with pytest.raises(Problem) as refused:
        painted([put(tmp_path, "layer.png", content)], SIZE)
    assert refused.value.code == "invalid_mask" and refused.value.field == "mask"


def test_a_line_around_something_marks_it_all():
    assert ring()[45, 60] == 0
    assert filled(ring())[45, 60] == 255 and filled(ring())[5, 5] == 0


def test_a_stroke_from_corner_to_corner_becomes_its_rectangle():
    stroke = np.zeros(SIZE, np.uint8)
    cv2.line(stroke, (20, 10), (70, 60), 255)
    rectangle = np.zeros(SIZE, np.uint8)
    rectangle[10:61, 20:71] = 255
    assert np.array_equal(boxed(stroke), rectangle)


def test_a_stroke_from_corner_to_corner_becomes_its_ellipse():
    stroke = np.zeros(SIZE, np.uint8)
    cv2.line(stroke, (20, 10), (70, 60), 255)
    ellipse = rounded(stroke)
    assert not ellipse[boxed(stroke) == 0].any() and ellipse[35, 20] == ellipse[10, 45] == 255 and ellipse[10, 20] == 0


def test_an_edge_is_uneven_in_another_way_each_time():
    mask = boxed(ring())
    first, second = uneven(mask), uneven(mask)
    assert (first != mask).any() and (first != second).any()


def test_clearing_leaves_nothing():
    assert not cleared(ring()).any()


def test_the_nearest_pixel_decides_at_another_size():
    mask = middle(120, 90)
    assert np.array_equal(resized(mask, (270, 360)), mask.repeat(3, 0).repeat(3, 1))
    assert np.array_equal(resized(resized(mask, (270, 360)), SIZE), mask)


def test_what_is_painted_is_scaled_to_the_photograph(tmp_path):
    visit = visit_of(tmp_path, size=(270, 360))
    layer = put(tmp_path, "layer.png", layer_of(middle(120, 90)))
    assert np.array_equal(decoded(visit.marked([layer], "")), resized(middle(120, 90), (270, 360)))


def test_what_was_found_and_not_touched_is_used_in_its_own_size(tmp_path):
    found = middle(360, 270)
    found[0, 1] = 255
    visit = visit_of(tmp_path, found, "the ball", size=(270, 360))
    layer = put(tmp_path, "layer.png", layer_of(visit.canvas_mask()))
    assert visit.marked([layer], "the ball") == visit.mask


def test_other_words_take_the_place_of_what_was_found_but_not_of_what_was_painted(tmp_path):
    visit = visit_of(tmp_path, middle(120, 90), "the ball")
    found, touched = (
        put(tmp_path, f"{name}.png", layer_of(mask)) for name, mask in (("f", middle(120, 90)), ("t", ring()))
    )
    assert visit.marked([found], "the ring") is None
    assert np.array_equal(decoded(visit.marked([touched], "the ring")), ring())


def test_nothing_painted_leaves_it_to_the_words(tmp_path):
    visit = visit_of(tmp_path, middle(120, 90), "the ball")
    assert visit.marked([], "the ball") is None


def test_the_middle_of_what_is_marked_is_where_the_handle_begins(tmp_path):
    mask = np.zeros(SIZE, np.uint8)
    mask[:, 90:] = 255
    assert visit_of(tmp_path, mask).centre() == pytest.approx(0.875)
    assert visit_of(tmp_path).centre() == 0.5


def test_a_copy_is_upright_small_and_keeps_the_profile():
    exif = Image.Exif()
    exif[0x0112] = 6
    taken = encoded(photograph(300, 200), "JPEG", exif=exif, icc_profile=srgb_profile())
    copy = copy_of(taken, LIMITS, 150)
    picture = Image.open(io.BytesIO(copy.jpeg))
    assert copy.original == (300, 200) and copy.size == (150, 100) and picture.size == (100, 150)
    assert picture.info["icc_profile"] == srgb_profile()


def test_a_copy_of_a_transparent_picture_lies_over_white_and_is_never_larger():
    pixels = photograph(60, 40, channels=4)
    pixels[..., 3] = 0
    copy = copy_of(encoded(pixels), LIMITS, 1000)
    assert copy.size == (40, 60) and decoded(copy.jpeg).min() >= 254


@pytest.mark.parametrize(("side", "size"), [(1000, (160, 240)), (120, (80, 120)), (30, (20, 30))])
def test_a_copy_to_be_compared_with_a_larger_picture_is_as_large_as_its_copy(side, size):
    small, large = encoded(photograph(60, 40)), encoded(photograph(240, 160))
    assert copy_of(small, LIMITS, side, 4).size == copy_of(large, LIMITS, side).size == size


def test_a_photograph_that_was_swept_away_is_asked_for_again(tmp_path):
    visit = visit_of(tmp_path)
    visit.photograph.path.unlink()
    with pytest.raises(Forgotten):
        visit.photograph.encoded()
