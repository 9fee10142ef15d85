"""Exports are what their readers read, and what is imported again is what was exported."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pycocotools.coco import COCO

from annotation.dataset.brush import run_lengths
from annotation.dataset.coco import coco
from annotation.dataset.composites import grouped
from annotation.dataset.label_studio import LABEL_CONFIG, read_export, task
from annotation.iharmony4 import Sample, read_dataset
from annotation.record import Annotation, DatasetError, Record, Skipped, Source
from tests.annotation.scenes import write_scenes

FIRST, SECOND, THIRD = "HCOCO/c0_1_1.jpg", "HCOCO/c2_1_1.jpg", "Hday2night/c1_1_1.jpg"
RECORDS: list[Record] = [
    Annotation(FIRST, "the red ball", 0.81, Source.RULES, "ada"),
    Annotation(FIRST, "die rote Kugel", 0.4, Source.OWN, "ada"),
    Annotation(FIRST, "the red ball", 0.81, Source.RULES, "grace"),
    Annotation(SECOND, "左边的猫", None, Source.CAPTIONER, ""),
    Skipped(THIRD, "ada"),
]


@pytest.fixture
def samples(tmp_path: Path) -> dict[str, Sample]:
    write_scenes(tmp_path / "data", objects=3)
    return {sample.name: sample for sample in read_dataset(tmp_path / "data").samples}


def unpacked(stream: list[int]) -> NDArray[np.uint8]:
    """The bytes of a stream of rle-pack, read as its authors read it."""
    bits = "".join(f"{each:08b}" for each in stream)
    place = 0

    def read(size: int) -> int:
        nonlocal place
        place += size
        return int(bits[place - size : place], 2)

    number, value_bits = read(32), read(5) + 1
    sizes = [read(4) + 1 for _ in range(4)]
    out = np.zeros(number, np.uint8)
    at = 0
    while at < number:
        run, end = read(1), at + 1 + read(sizes[read(2)])
        if run:
            out[at:end] = read(value_bits)
        else:
            out[at:end] = [read(value_bits) for _ in range(end - at)]
        at = end
    return out


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (400, 300)])
def test_a_brush_is_the_mask_in_four_channels(size: tuple[int, int]) -> None:
    chance = np.random.default_rng(0)
    noise = (chance.random(size) > 0.5).astype(np.uint8) * np.uint8(255)
    for mask in (noise, np.zeros(size, np.uint8), np.full(size, 255, np.uint8)):
        assert np.array_equal(unpacked(run_lengths(mask)).reshape(*size, 4), np.repeat(mask[..., None], 4, axis=2))


def test_pycocotools_reads_the_masks(samples: dict[str, Sample], tmp_path: Path) -> None:
    scenes = write_scenes(tmp_path / "data", objects=3)
    (tmp_path / "coco.json").write_text(json.dumps(coco(grouped(RECORDS, samples))))
    read = COCO(str(tmp_path / "coco.json"))
    for image, name in zip(read.loadImgs(read.getImgIds()), (FIRST, SECOND), strict=True):
        assert (tmp_path / "data" / image["file_name"]) == samples[name].composite
        [annotation] = read.loadAnns(read.getAnnIds(imgIds=[image["id"]]))
        truth = scenes[name].mask > 0
        assert np.array_equal(read.annToMask(annotation), truth)
        rows, columns = np.nonzero(truth)
        box = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
        assert annotation["area"] == truth.sum() and annotation["bbox"] == box
    assert [each["expressions"] for each in read.loadAnns(read.getAnnIds())] == [
        ["the red ball", "die rote Kugel"],
        ["左边的猫"],
    ]


def exported(samples: dict[str, Sample], path: Path) -> list[dict[str, Any]]:
    tasks = [task(sample, group) for sample, group in grouped(RECORDS, samples)]
    path.write_text(json.dumps(tasks))
    return tasks


def test_label_studio_gives_back_what_it_got(samples: dict[str, Sample], tmp_path: Path) -> None:
    exported(samples, tmp_path / "tasks.json")
    assert read_export(tmp_path / "tasks.json") == RECORDS


def test_a_task_has_the_tags_of_the_labeling_interface(samples: dict[str, Sample], tmp_path: Path) -> None:
    first, *_ = exported(samples, tmp_path / "tasks.json")
    assert first["data"]["image"] == f"/data/local-files/?d={FIRST.replace('/', '/composite_images/')}"
    assert [each["value"] for each in first["data"]["expressions"]] == ["the red ball", "die rote Kugel"]
    assert first["data"]["expressions"][0]["hint"] == "IoU 0.81"
    results = [each for part in (first["predictions"], first["annotations"]) for one in part for each in one["result"]]
    assert all(f'name="{each["from_name"]}" toName="{each["to_name"]}"' in LABEL_CONFIG for each in results)
    [brush] = first["predictions"][0]["result"]
    assert unpacked(brush["value"]["rle"]).size == 4 * brush["original_width"] * brush["original_height"]


def test_an_export_of_label_studio_itself_has_what_was_imported_there_and_what_was_answered_there() -> None:
    # Made by Label Studio 1.23.2: tasks of `task` were imported, and then its first user chose, wrote and skipped.
    assert read_export(Path(__file__).with_name("label_studio_export.json")) == [
        Annotation("HCOCO/c0_1_1.jpg", "the blue star", 0.89, Source.CAPTIONER, "grace"),
        Annotation("HCOCO/c0_1_1.jpg", "左边的星", None, Source.OWN, "ada"),
        Annotation("HFlickr/c3_1_1.jpg", "the moon", 0.5, Source.RULES, "ada"),
        Annotation("HFlickr/c3_1_1.jpg", "the moon", 0.5, Source.RULES, "1"),
        Annotation("HFlickr/c3_1_1.jpg", "typed there", None, Source.OWN, "1"),
        Skipped("HFlickr/c3_1_1.jpg", "1"),
        Skipped("HCOCO/c1_1_1.jpg", "ada"),
    ]


def test_answers_that_people_gave_there_are_read(tmp_path: Path) -> None:
    told = {
        "id": 7,
        "data": {
            "composite": FIRST,
            "suggestions": [{"expression": "the cat", "iou": 0.5, "source": "captioner"}],
        },
        "annotations": [
            {
                "completed_by": {"id": 3, "email": "ada@example.org"},
                "was_cancelled": False,
                "result": [
                    {"type": "choices", "value": {"choices": ["the cat", "an animal"]}},
                    {"type": "textarea", "value": {"text": "my own"}},
                    {"type": "brushlabels", "value": {"rle": [], "brushlabels": ["foreground"]}},
                ],
            },
            {"completed_by": 4, "was_cancelled": True, "result": []},
        ],
    }
    (tmp_path / "export.json").write_text(json.dumps([told]))
    assert read_export(tmp_path / "export.json") == [
        Annotation(FIRST, "the cat", 0.5, Source.CAPTIONER, "ada@example.org"),
        Annotation(FIRST, "an animal", None, Source.OWN, "ada@example.org"),
        Annotation(FIRST, "my own", None, Source.OWN, "ada@example.org"),
        Skipped(FIRST, "4"),
    ]


GOOD = {"data": {"composite": FIRST}, "annotations": []}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[\n{]", "line 2: no JSON"),
        ("[" * 100_000, "no JSON of a usable depth"),
        ("{}", "expected a list of tasks"),
        ([GOOD, {"data": {}}], "task 2: data.composite is missing; expected a text"),
        ([{**GOOD, "annotations": 3}], "task 1: annotations is 3; expected a list"),
        ([{"data": {"composite": FIRST}, "image": "x"}], "task 1: annotations is missing"),
        ([{**GOOD, "annotations": [{"result": [{"type": "choices"}]}]}], "result[0].value is missing"),
        (
            [{**GOOD, "annotations": [{"result": [{"type": "choices", "value": {"choices": [" "]}}]}]}],
            "task 1, annotations[0]: expression is ' '",
        ),
        ([{"data": {"composite": "../x"}, "annotations": [{"result": []}]}], "composite is '../x'"),
        ([{"data": {"composite": FIRST, "suggestions": 3}, "annotations": []}], "data.suggestions is 3"),
    ],
)
def test_a_bad_export_is_named_with_its_place(content: Any, words: str, tmp_path: Path) -> None:
    path = tmp_path / "export.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(DatasetError) as error:
        read_export(path)
    assert words in str(error.value)


def test_a_composite_that_is_not_there_and_a_mask_of_another_size_are_named(samples: dict[str, Sample]) -> None:
    with pytest.raises(DatasetError, match=r"HCOCO/no_1_1\.jpg: not in the data set"):
        list(grouped([Annotation("HCOCO/no_1_1.jpg", "the cat")], samples))
    Image.fromarray(np.full((5, 7), 255, np.uint8)).save(samples[FIRST].mask)
    with pytest.raises(DatasetError, match=f"{FIRST}: the mask has 7x5 pixels, the composite 128x96"):
        coco(grouped(RECORDS, samples))
