"""Pipelines work at the resolution of the UNet that was exported for them, where a request does not say."""

import shutil
from pathlib import Path

import pytest
from google.protobuf import json_format, text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from concord.loops.request import Defaults
from export import default_resolution

ENSEMBLES = Path(__file__).parents[2] / "ensembles"
PIPELINES = ("diffharmony", "diffharmony_once")


@pytest.fixture
def ensembles(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ENSEMBLES, tmp_path / "ensembles"))


def resolutions(ensembles: Path) -> list[int]:
    texts = [(ensembles / name / "config.pbtxt").read_text() for name in PIPELINES]
    configs = [
        json_format.MessageToDict(text_format.Parse(text, ModelConfig()), preserving_proto_field_name=True)
        for text in texts
    ]
    return [Defaults.from_config(config).resolution for config in configs]


def test_the_resolution_of_the_unet_becomes_that_of_the_pipelines(ensembles: Path) -> None:
    others = (ensembles / "segment" / "config.pbtxt").read_text()
    for side in (96, 64):
        assert default_resolution.write(ensembles, side) == 8 * side
        assert resolutions(ensembles) == [8 * side] * 2
    assert (ensembles / "segment" / "config.pbtxt").read_text() == others


@pytest.mark.parametrize("side", [None, 40])
def test_a_resolution_that_no_pipeline_takes_changes_nothing(ensembles: Path, side: int | None) -> None:
    before = resolutions(ensembles)
    assert default_resolution.write(ensembles, side) is None
    assert resolutions(ensembles) == before


def test_a_repository_without_pipelines_is_left_as_it_is(tmp_path: Path) -> None:
    assert default_resolution.write(tmp_path / "ensembles", 64) is None
    assert not list(tmp_path.iterdir())
