"""Pipelines take the default that belongs to the network that was exported for them."""

from pathlib import Path

import pytest

from export import default_setting
from export.pipelines.diffharmony import pixels

CONFIG = """name: "{name}"
backend: "python"
# The UNet's own resolution.
parameters {{ key: "setting.RESOLUTION" value {{ string_value: "{default}; 256|512|768|1024; pixels a side" }} }}
parameters {{ key: "part.unet" value {{ string_value: "{unet}" }} }}
"""


@pytest.fixture
def ensembles(tmp_path: Path) -> Path:
    """Two pipelines that run `unet`, another whose UNet is another, and one without any."""
    for name, unet in (("loop", "unet"), ("loop_once", "unet; DECODER=plain"), ("other", "unet_of_another")):
        write(tmp_path, name, CONFIG.format(name=name, unet=unet, default=512))
    write(tmp_path, "segment", 'name: "segment"\n')
    return tmp_path


def write(ensembles: Path, name: str, text: str) -> None:
    (ensembles / name).mkdir()
    (ensembles / name / "config.pbtxt").write_text(text)


def texts(ensembles: Path) -> dict[str, str]:
    return {path.parent.name: path.read_text() for path in ensembles.glob("*/config.pbtxt")}


def test_the_resolution_of_a_unet_becomes_that_of_the_pipelines_that_run_it_and_of_no_other(ensembles: Path) -> None:
    before = texts(ensembles)
    for side in (96, 64, 32):
        assert default_setting.write(ensembles, "unet", "unet", "RESOLUTION", pixels(side))
        after = texts(ensembles)
        for name in ("loop", "loop_once"):
            assert after[name] == before[name].replace('"512;', f'"{8 * side};')
        assert (after["other"], after["segment"]) == (before["other"], before["segment"])


@pytest.mark.parametrize("side", [None, 40])
def test_a_resolution_that_no_pipeline_takes_changes_nothing(ensembles: Path, side: int | None) -> None:
    before = texts(ensembles)
    assert not default_setting.write(ensembles, "unet", "unet", "RESOLUTION", pixels(side))
    assert texts(ensembles) == before


def test_a_repository_without_pipelines_is_left_as_it_is(tmp_path: Path) -> None:
    assert not default_setting.write(tmp_path / "ensembles", "unet", "unet", "RESOLUTION", "512")
    assert not list(tmp_path.iterdir())
