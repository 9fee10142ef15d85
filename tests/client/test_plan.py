import unicodedata
from pathlib import Path

import pytest

from concord_client.commands import UsageError
from concord_client.commands.plan import Job, check_outputs, find_images, plan_folder


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder in which `touch` makes files."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(*names):
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def plan(images, out, **given):
    """Plans a run over images with one text, or one pattern of masks."""
    texts = {"text": given["text"]} if "text" in given else {}
    patterns = {"mask": given["masks"]} if "masks" in given else {}
    return plan_folder("image", images, {"image": out}, values=texts, patterns=patterns)


def names(paths):
    return [str(path) for path in paths]


def test_a_pattern_stands_for_its_files_in_order(folder):
    touch("d/b.jpg", "d/a.jpg", "d/c.txt", "d/sub/e.jpg")
    assert names(find_images(["d/*.jpg"])) == ["d/a.jpg", "d/b.jpg"]
    assert names(find_images(["d/**/*.jpg"])) == ["d/a.jpg", "d/b.jpg", "d/sub/e.jpg"]


def test_a_folder_stands_for_the_images_directly_in_it(folder):
    touch("d/b.JPG", "d/a.png", "d/notes.txt", "d/sub/e.jpg")
    assert names(find_images(["d"])) == ["d/a.png", "d/b.JPG"]


def test_a_file_whose_name_looks_like_a_pattern_is_taken_by_its_name(folder):
    touch("a[1].jpg", "a1.jpg")
    assert names(find_images(["a[1].jpg"])) == ["a[1].jpg"]


def test_a_file_named_twice_is_harmonized_once(folder):
    touch("a.jpg", "b.jpg")
    assert names(find_images(["*.jpg", "./a.jpg", "a.jpg"])) == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize("pattern", ["none/*.jpg", "missing.jpg", "empty"])
def test_a_pattern_that_stands_for_nothing_is_named(folder, pattern):
    Path("empty").mkdir()
    touch("a.jpg")
    with pytest.raises(UsageError, match="no image matches"):
        find_images(["a.jpg", pattern])


def test_answers_are_png_with_the_images_names(folder):
    jobs = plan([Path("d/eine Katze ü.jpg"), Path("d/b.c.png")], Path("out"), text="cat")
    assert names(job.outputs["image"] for job in jobs) == ["out/eine Katze ü.png", "out/b.c.png"]
    assert [job.fields["text"] for job in jobs] == ["cat", "cat"]


def test_images_of_several_folders_keep_their_folders(folder):
    jobs = plan([Path("d/a/x.jpg"), Path("d/b/x.jpg"), Path("d/y.jpg")], Path("out"), text="cat")
    assert names(job.outputs["image"] for job in jobs) == ["out/a/x.png", "out/b/x.png", "out/y.png"]


def test_masks_come_from_a_folder_or_a_path_with_the_stem(folder):
    Path("masks").mkdir()
    images = [Path("d/a/x.jpg"), Path("d/y.jpg")]
    assert names(job.fields["mask"] for job in plan(images, Path("out"), masks="masks")) == [
        "masks/a/x.png",
        "masks/y.png",
    ]
    jobs = plan(images, Path("out"), masks="m/{stem}_mask.bmp")
    assert names(job.fields["mask"] for job in jobs) == ["m/x_mask.bmp", "m/y_mask.bmp"]


def test_masks_that_are_neither_are_refused(folder):
    with pytest.raises(UsageError, match="--masks"):
        plan([Path("a.jpg")], Path("out"), masks="nowhere")


@pytest.mark.parametrize(
    "twins",
    [
        ("d/a.jpg", "d/a.png"),
        ("d/a.jpg", "d/A.png"),
        (f"d/{unicodedata.normalize('NFC', 'ü')}.jpg", f"d/{unicodedata.normalize('NFD', 'ü')}.jpg"),
    ],
    ids=["suffix", "case", "composition"],
)
def test_two_images_never_share_an_answers_name(folder, twins):
    with pytest.raises(UsageError, match="would overwrite the answer for"):
        plan([Path(twin) for twin in twins], Path("out"), text="cat")


def test_no_answer_overwrites_an_input(folder):
    with pytest.raises(UsageError, match="would overwrite the input"):
        plan([Path("d/a.png")], Path("d"), text="cat")
    touch("masks/b.png")
    with pytest.raises(UsageError, match="would overwrite the input"):
        plan([Path("d/b.jpg")], Path("masks"), masks="masks")
    touch("d/real.png")
    Path("link.png").symlink_to("d/real.png")
    with pytest.raises(UsageError, match="would overwrite the input"):
        check_outputs([Job({"image": Path("d/real.png")}, {"image": Path("link.png")})])


def test_image_and_mask_of_one_answer_do_not_share_a_file(folder):
    with pytest.raises(UsageError, match="would overwrite"):
        check_outputs([Job({"image": Path("a.jpg")}, {"image": Path("out.png"), "mask": Path("./out.png")})])


@pytest.mark.parametrize("output", ["out.jpg", "out"])
def test_an_answer_that_is_not_called_png_is_refused(output):
    with pytest.raises(UsageError, match="PNG"):
        check_outputs([Job({"image": Path("a.jpg")}, {"image": Path(output)})])
