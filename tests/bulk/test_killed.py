"""`concord bulk` on two nodes of Ray's: what a kill costs, and what rows that cannot be read cost."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.bulk.drill import SECONDS, Drill, drill, start
from benchmarks.bulk.nodes import Nodes, nodes
from benchmarks.bulk.recorder import MODEL
from concord.bulk.cluster import HOST
from concord.bulk.journal import TABLE
from concord.scenes.encoded import scene_jpeg, scene_mask


@pytest.fixture(scope="module")
def cluster() -> Iterator[Nodes]:
    with nodes() as running:
        yield running


@pytest.fixture(scope="module")
def drilled(cluster: Nodes, tmp_path_factory) -> tuple[Drill, Path]:
    """A run whose program was killed, and then a node."""
    folder = tmp_path_factory.mktemp("drill")
    return drill(cluster, folder, rows=60, seconds=0.05), folder


def test_killed_twice_nothing_is_lost_and_nothing_that_was_done_is_done_again(drilled: tuple[Drill, Path]) -> None:
    found, _ = drilled
    assert (found.lost, found.twice) == (0, 0), found
    assert min(found.kills) > 0
    assert "60 of 60 rows done" in found.words


def test_rows_that_cannot_be_read_are_in_the_table_and_the_others_are_done(
    cluster: Nodes, drilled: tuple[Drill, Path], tmp_path: Path
) -> None:
    _, folder = drilled
    image, mask = scene_jpeg(64, 64), scene_mask(64, 64)
    images = [image, b"not an image", image, None]
    ids = ["good", "damaged", "../outside", "empty"]
    pq.write_table(pa.table({"image": images, "mask": [mask] * 4, "id": ids}), tmp_path / "rows.parquet")
    arguments = [tmp_path / "rows.parquet", tmp_path / "out", "--model-repository", folder / "models", "--model", MODEL]
    with start(cluster, arguments) as process:
        words = process.communicate(timeout=SECONDS)[1]
    assert process.returncode == 1, words
    lines = {line["id"]: line for line in pq.read_table(tmp_path / "out" / TABLE).to_pylist()}
    assert {name: line["status"] for name, line in lines.items()} == {
        "good": "done",
        "damaged": "refused",
        "../outside": "refused",
        "empty": "refused",
    }
    assert [lines[name]["code"] for name in ("damaged", "../outside")] == ["invalid_image", "invalid_id"]
    assert (tmp_path / "out" / "images" / "good.png").read_bytes() == image
    assert "[invalid_image] IMAGE" in words


def test_nothing_of_the_cluster_listens_beyond_this_machine(cluster: Nodes) -> None:
    heard = set()
    for process in cluster.processes():
        with suppress(psutil.NoSuchProcess):
            listening = [each for each in process.net_connections() if each.status == psutil.CONN_LISTEN]
            heard |= {each.laddr.ip.removeprefix("::ffff:") for each in listening}
    assert heard == {HOST}
