"""What `concord bulk` refuses before anything is asked for, and what it makes of its input."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from concord.bulk.ids import picture_of, require_id
from concord.bulk.journal import FOLDER, TABLE, Journal, Records, holding
from concord.bulk.order import Order
from concord.bulk.place import Place
from concord.bulk.run import run
from concord.bulk.table import Table
from concord_client.command import main
from concord_client.commands import UsageError
from concord_client.errors import InvalidInput
from concord_client.errors import Unavailable as NoCluster
from tests.commands import run as run_command


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of two files that are called images."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for name in ("one.jpg", "more/two.png"):
        (folder / name).write_bytes(b"a picture")
    return folder


def order(source: Path | str, target: Path | str, task: str = "harmonize", **more: object) -> Order:
    return Order(str(source), str(target), task, **more)


def table(folder: Path, **columns: list[object]) -> Path:
    """A Parquet file of several groups of rows."""
    path = folder / "rows.parquet"
    pq.write_table(pa.table(columns), path, row_group_size=2)
    return path


def test_an_unknown_task_is_named_with_those_that_are_there(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--task is 'paint'; allowed: harmonize, segment"):
        run(order(photos, tmp_path / "out", "paint"))


def test_an_output_inside_the_input_is_refused(photos: Path) -> None:
    with pytest.raises(InvalidInput, match=r"\[invalid_output\] OUTPUT: .* is in the input"):
        run(order(photos, photos / "out", text="the ball"))
    assert not (photos / "out").exists()


@pytest.mark.parametrize("missing", ["photos", "masks"])
def test_a_folder_that_is_not_there_is_named_and_nothing_is_written(photos: Path, tmp_path: Path, missing: str) -> None:
    given = {"photos": photos, "masks": photos} | {missing: tmp_path / "elsewhere"}
    with pytest.raises(InvalidInput, match=r"\[not_found\] (INPUT|MASK): there is nothing at .*elsewhere"):
        run(order(given["photos"], tmp_path / "out", masks=str(given["masks"])))
    assert not (tmp_path / "out").exists()


def test_an_output_that_cannot_be_written_is_named(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InvalidInput, match=r"\[no_access\] OUTPUT: .*allowed: a place that may be written to"):
        run(order(photos, tmp_path / "file" / "out", text="the ball"))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "harmonize needs either text or mask"),
        ({"text": "the ball", "masks": "."}, "harmonize needs either text or mask"),
        ({"text": "the ball", "columns": {"mask": "mask"}}, "--mask-column goes with a table"),
    ],
)
def test_what_the_task_takes_has_to_be_given_once(photos: Path, tmp_path: Path, given: dict, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        run(order(photos, tmp_path / "out", **given))


def test_a_missing_column_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    path = table(tmp_path, picture=[b"1"], caption=["a ball"])
    words = r"\[missing_column\] INPUT: there is no column 'image' for image; allowed: caption, picture"
    with pytest.raises(InvalidInput, match=words):
        run(order(path, tmp_path / "out", "segment"))
    with pytest.raises(InvalidInput, match="no column 'words' for text"):
        run(order(path, tmp_path / "out", "segment", columns={"image": "picture", "text": "words"}))


def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.parquet").write_bytes(b"PAR1 or not")
    with pytest.raises(InvalidInput, match=r"\[invalid_table\] INPUT"):
        run(order(tmp_path / "rows.parquet", tmp_path / "out", text="the ball"))


def test_two_rows_of_one_picture_are_refused(tmp_path: Path) -> None:
    path = table(tmp_path, id=["Ball", "cube", "ball"], image=[b"1", b"2", b"3"])
    with pytest.raises(InvalidInput, match=r"\[duplicate_id\] id: 'ball' and 'Ball' would be one picture"):
        run(order(path, tmp_path / "out", text="the ball"))


def test_a_cluster_that_is_not_there_is_named(photos: Path, tmp_path: Path, closed_url: str) -> None:
    with pytest.raises(NoCluster, match="no Ray cluster answers at"):
        run(order(photos, tmp_path / "out", text="the ball"), closed_url)


@pytest.mark.parametrize("name", ["../up", "/root", "a//b", "a/./b", "", "a\nb", "x" * 300, ".concord-bulk/lock"])
def test_a_name_that_would_leave_the_output_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match=r"\[invalid_id\]"):
        require_id(name)


def test_pictures_keep_the_folders_of_their_names() -> None:
    assert picture_of("more/two.jpg", walked=True) == "images/more/two.png"
    assert picture_of("v1.5/two", walked=False) == "images/v1.5/two.png"


@pytest.mark.parametrize("given", ["bytes", "path", "struct"])
def test_a_table_has_images_as_bytes_as_paths_or_as_both(tmp_path: Path, given: str) -> None:
    images = {"bytes": [b"1", b"2", b"3"], "path": ["1.png", "2.png", "3.png"]}
    images["struct"] = [{"bytes": value, "path": None} for value in images["bytes"]]
    path = table(tmp_path, image=images[given], caption=["a", "b", "c"])
    read = Table(order(path, "out", "segment", columns={"text": "caption"}), Place.of(str(path)), [""])
    rows = [row for part in read.parts() for each in read.rows(part, {"rows/00000001"}) for row in each.to_pylist()]
    assert [(row["id"], row["text"]) for row in rows] == [("rows/00000000", "a"), ("rows/00000002", "c")]
    if given == "path":
        assert [row["image_path"] for row in rows] == [str(tmp_path / "1.png"), str(tmp_path / "3.png")]
    else:
        assert [row["image_bytes"] for row in rows] == [b"1", b"3"]


def test_a_row_is_done_when_its_picture_is_there_and_the_last_line_counts(tmp_path: Path) -> None:
    asked, place = order("in", tmp_path, "segment"), Place.of(str(tmp_path))
    line = {"id": "a", "status": "done", "output": "images/a.png", "seconds": 1.0, "score": 0.5}
    Journal(place).write([line, line | {"id": "b", "output": "images/b.png"}])
    place.write("images/a.png", b"")
    assert Records(place, asked).compact().keys() == {"a"}
    Journal(place).write([line | {"score": 0.75}])
    with (tmp_path / FOLDER / "torn.jsonl").open("wb") as file:
        file.write(b'{"id": "c", "sta')
    assert [line["score"] for line in Records(place, asked).compact().values()] == [0.75]
    assert pq.read_table(tmp_path / TABLE).column("id").to_pylist() == ["a"]
    assert not list((tmp_path / FOLDER).glob("*.jsonl"))


def test_the_table_of_another_task_is_not_overwritten(photos: Path, tmp_path: Path) -> None:
    Records(Place.of(str(tmp_path / "out")), order("in", "out", "upscale")).compact()
    with pytest.raises(InvalidInput, match=r"\[invalid_output\] OUTPUT: its results.parquet is of another task"):
        run(order(photos, tmp_path / "out", text="the ball"))


def test_two_runs_do_not_write_to_one_output(tmp_path: Path) -> None:
    place = Place.of(str(tmp_path))
    with (
        holding(place, alone=True),
        holding(place, alone=False),
        pytest.raises(InvalidInput, match=r"\[in_use\]"),
        holding(place, alone=True),
    ):
        pass


def test_images_without_a_mask_are_in_the_table_and_what_is_done_already_needs_no_cluster(
    photos: Path, tmp_path: Path, closed_url: str
) -> None:
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "one.png").write_bytes(b"a mask")
    Place.of(str(tmp_path / "out")).write("images/one.png", b"from before")
    summary = run(order(photos, tmp_path / "out", masks=str(tmp_path / "masks")), closed_url)
    assert (summary.total, summary.done) == (2, 1)
    lines = {line["id"]: line for line in pq.read_table(tmp_path / "out" / TABLE).to_pylist()}
    assert lines["one.jpg"]["status"] == "done"
    assert (lines["more/two.png"]["status"], lines["more/two.png"]["code"]) == ("refused", "missing_mask")


def test_the_command_ends_with_the_codes_of_the_others(photos: Path, tmp_path: Path) -> None:
    wrong = run_command(main, "bulk", photos, tmp_path / "out", "--task", "paint")
    assert (wrong.returncode, "allowed: harmonize" in wrong.stderr) == (2, True)
    nowhere = run_command(main, "bulk", tmp_path / "no", tmp_path / "out", "--task", "segment", "--text", "a ball")
    assert (nowhere.returncode, "[not_found] INPUT" in nowhere.stderr) == (1, True)
