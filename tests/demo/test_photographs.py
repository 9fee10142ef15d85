import hashlib
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from concord.scenes.photographs import Collection, bundled, make_photo_composite, segmented
from demo import photographs as fetched
from demo.photographs import NotFetched, Source, keep, objects, sources

SIZE = (128, 128)


def test_no_photograph_is_in_both_splits() -> None:
    train, held_out = (
        {each.name for each in bundled(split).photographs} | {each.sha256 for each in sources() if each.split == split}
        for split in ("train", "held out")
    )
    assert len(train) > 60 and len(held_out) > 15 and not train & held_out


@pytest.mark.parametrize("split", ["train", "held out"])
def test_only_the_masked_part_was_changed(split: str) -> None:
    for seed in range(30):
        sample = make_photo_composite(seed, SIZE, bundled(split))
        inside = sample.mask == 255
        assert set(np.unique(sample.mask)) == {0, 255}
        assert 0.03 <= inside.mean() <= 0.6
        assert np.array_equal(sample.composite[~inside], sample.truth[~inside])
        assert np.mean((sample.composite[inside].astype(float) - sample.truth[inside]) ** 2) > 40


def test_a_seed_always_gives_the_same_composite() -> None:
    first, second = make_photo_composite(7, SIZE), make_photo_composite(7, SIZE)
    assert np.array_equal(first.composite, second.composite)
    assert np.array_equal(first.mask, second.mask)


@pytest.mark.parametrize("size", [(64, 64), (96, 200), (200, 96), (416, 416)], ids=str)
def test_a_composite_has_the_size_that_was_asked_for(size: tuple[int, int]) -> None:
    sample = make_photo_composite(2, size)
    assert sample.composite.shape == sample.truth.shape == (*size, 3)
    assert sample.mask.shape == size


def test_a_mask_of_an_object_that_people_marked_is_that_object() -> None:
    labels = np.full((200, 200), -1, np.int32)
    labels[40:160, 60:140] = 7
    photograph = segmented("marked", bundled().photographs[0].pixels[:200, :200], [labels])
    only = Collection("train", (type(photograph)("marked", photograph.pixels, photograph.segmentations[-1:]),), (1.0,))
    shares = [(make_photo_composite(seed, SIZE, only).mask > 0).mean() for seed in range(6)]
    assert min(shares) > 0.1


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A Debian package with a picture and labelme's polygon of an object in it."""
    tree = tmp_path / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN" / "control").write_text(
        "Package: pictures\nVersion: 1\nArchitecture: all\nMaintainer: nobody <n@example.org>\nDescription: pictures\n"
    )
    Image.new("RGB", (40, 30), "red").save(tree / "red.png")
    shape = {"shape_type": "polygon", "points": [[10, 5], [30, 5], [30, 25], [10, 25]]}
    (tree / "red.json").write_text(json.dumps({"imageHeight": 30, "imageWidth": 40, "shapes": [shape]}))
    command = ["dpkg-deb", "--build", tree, tmp_path / "pictures.deb"]
    subprocess.run(command, check=True, capture_output=True)
    return tmp_path / "pictures.deb"


def test_a_picture_is_taken_from_its_package_with_its_polygons(package: Path, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(fetched, "FOLDER", tmp_path)
    checksum = hashlib.sha256((tmp_path / "tree" / "red.png").read_bytes()).hexdigest()
    source = Source("train", "pictures", "1", "CC0", checksum, "red.png")
    keep([source], package)
    [labels] = objects(source)
    assert source.path.read_bytes() == (tmp_path / "tree" / "red.png").read_bytes()
    assert (labels == 0).sum() == 21 * 21 and labels.min() == -1


def test_another_picture_than_that_of_the_table_is_not_kept(package: Path, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(fetched, "FOLDER", tmp_path)
    source = Source("train", "pictures", "1", "CC0", "0" * 64, "red.png")
    with pytest.raises(NotFetched, match=r"another red\.png"):
        keep([source], package)
    assert not source.path.exists()
