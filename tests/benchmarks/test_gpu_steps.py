"""Steps of a measurement in processes of their own."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.gpu.steps import run


def working() -> Iterator[Any]:
    yield
    yield {"ms": 1.5}


def failing() -> Iterator[Any]:
    yield
    raise ValueError("there is no such network\nand more words")


def dying() -> Iterator[Any]:
    os._exit(3)
    yield


def hanging() -> Iterator[Any]:
    yield
    time.sleep(600)
    yield


def test_a_step_that_fails_dies_or_hangs_costs_no_other_its_result(tmp_path: Path) -> None:
    steps = {"dying": dying, "hanging": hanging, "failing": failing, "working": working}
    run(steps, tmp_path, prepare_seconds=300, measure_seconds=5)
    assert {path.stem: json.loads(path.read_text()) for path in tmp_path.iterdir()} == {
        "dying": {"problem": "its process died"},
        "hanging": {"problem": "not measured in time"},
        "failing": {"problem": "ValueError: there is no such network"},
        "working": {"ms": 1.5},
    }
