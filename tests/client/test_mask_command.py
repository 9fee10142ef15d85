"""`concord mask`."""

import cv2
import numpy as np
import pytest
from PIL import Image

from concord.masks import intersection_over_union
from concord_client.command import main
from tests.commands import run
from tests.serving.pictures import photograph

BOX = ("--shape", "rectangle", "--box", "40,30,200,150")


@pytest.fixture
def mask(tmp_path):
    """Runs the command, and reads what it wrote."""

    def made(*arguments):
        path = tmp_path / "mask.png"
        done = run(main, "mask", *arguments, "-o", path)
        assert done.returncode == 0, done.stderr
        return np.asarray(Image.open(path))

    return made


@pytest.fixture
def refusal(tmp_path):
    """Runs the command, which is to fail and to write nothing; its exit code and what it says."""

    def said(*arguments):
        path = tmp_path / "mask.png"
        done = run(main, "mask", *arguments, "-o", path)
        assert not path.exists()
        return done.returncode, done.stderr.splitlines()[-1]

    return said


@pytest.mark.parametrize(
    "shape",
    [
        BOX,
        ("--shape", "ellipse", "--box", "40,30,200,150"),
        ("--shape", "polygon", "--points", "40,30,200,30,120,150"),
        ("--shape", "stroke", "--points", "40,30,200,150", "--thickness", "10"),
    ],
    ids=lambda shape: shape[1],
)
def test_a_shape_is_written_in_the_size_that_is_asked_for(mask, shape):
    made = mask("--size", "256x180", *shape)
    assert made.shape == (180, 256) and set(np.unique(made)) == {0, 255}
    assert made[90, 120] == 255 and made[5, 5] == 0


def test_a_mask_has_the_size_of_the_upright_picture(mask, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(photograph(256, 180)).save(tmp_path / "photo.jpg", exif=exif)
    assert mask("--like", tmp_path / "photo.jpg", *BOX).shape == (256, 180)


def test_a_seed_makes_the_edge_uneven_and_is_repeatable(mask, tmp_path):
    even, uneven = mask("--size", "256x180", *BOX), mask("--size", "256x180", *BOX, "--irregular", 7)
    assert 0.6 < intersection_over_union(even, uneven) < 1
    Image.fromarray(even).save(tmp_path / "even.png")
    np.testing.assert_array_equal(mask("--mask", tmp_path / "even.png", "--irregular", 7), uneven)
    assert (mask("--mask", tmp_path / "even.png", "--irregular", 7, "--roughness", 0.2) != uneven).any()


def test_the_box_of_what_words_name_is_found_by_the_server(server, mask, tmp_path):
    path = tmp_path / "photo.png"
    found = tmp_path / "found.png"
    scene = np.full((256, 256, 3), 128, np.uint8)
    cv2.circle(scene, (90, 150), 45, (220, 30, 30), -1)
    Image.fromarray(scene).save(path)
    words = ("--text", "the red circle", "--url", server.grpc_url)
    assert run(main, "segment", "--image", path, *words, "-o", found).returncode == 0
    left, top, width, height = cv2.boundingRect(np.asarray(Image.open(found)))
    box = mask("--like", path, "--shape", "box-from-text", *words)
    assert cv2.boundingRect(box) == (left, top, width, height) and np.count_nonzero(box) == width * height


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--size", "256x180"), "--shape is missing"),
        (("--size", "256x180", "--shape", "ellipse"), "--shape ellipse needs --box"),
        (("--size", "256x180", "--shape", "stroke", "--points", "1,1"), "--shape stroke needs --thickness"),
        (("--size", "256x180", *BOX, "--points", "1,1"), "--points goes with --shape polygon or stroke"),
        (("--size", "256x180", *BOX, "--roughness", "0.1"), "--roughness goes with --irregular"),
        (
            ("--size", "256x180", *BOX, "--irregular", "1", "--roughness", "nan"),
            "--roughness is nan; allowed: 0 to 0.3",
        ),
        (("--size", "256x180", "--shape", "ellipse", "--box", "9,9,9,20"), "--box is not a box"),
        (("--size", "256x180", "--shape", "polygon", "--points", "1,1,2,2"), "allowed: 3 to 4096 of them"),
        (("--size", "256x180", "--shape", "polygon", "--points", "1,1,2,2,inf,1"), "is not numbers"),
        (("--size", "256x180", "--shape", "box-from-text", "--text", "it"), "needs --like"),
        (("--size", "99999x99999", *BOX), "is not a width and a height like 640x480, of at most 40,000,000 pixels"),
        (("--size", "0x9", *BOX), "is not a width and a height"),
        (("--size", "256x180", *BOX, "--irregular", "-1"), "is not a whole number from 0"),
        (("--mask", "mask.png"), "--mask goes with --irregular"),
        (("--mask", "mask.png", *BOX), "--mask has its own"),
    ],
)
def test_flags_that_do_not_belong_together_are_wrong_usage(refusal, arguments, said):
    code, line = refusal(*arguments)
    assert code == 2 and said in line


def test_a_shape_outside_the_picture_is_no_mask(refusal):
    code, line = refusal("--size", "256x180", "--shape", "ellipse", "--box", "300,300,400,400")
    assert (code, line) == (1, "concord: there is nothing of it in the picture")


def test_a_file_that_is_no_picture_is_refused_by_name(refusal, tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"not a picture")
    code, line = refusal("--like", tmp_path / "photo.jpg", *BOX)
    assert code == 1 and "[invalid_image] IMAGE" in line
    code, line = refusal("--like", tmp_path / "none.jpg", *BOX)
    assert code == 1 and "No such file" in line
