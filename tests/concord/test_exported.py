from dataclasses import replace
from pathlib import Path

import pytest

from concord.device import Device
from concord.errors import InvalidSetting, ServerFailure
from concord.repository import pbtxt
from concord.server.declared import unexported
from concord.server.inventory import Inventory
from concord.server.view import View
from concord.variants import Variant, variants

NETWORK = 'backend: "onnxruntime" default_model_filename: "model.onnx"'
PYTHON = 'backend: "python"'
LOOP = """backend: "python"
input [ { name: "PREVIEW" data_type: TYPE_BOOL dims: [ 1 ] } ]
parameters { key: "task" value { string_value: "harmonize" } }
parameters { key: "model" value { string_value: "diffuse" } }
parameters { key: "part.unet" value { string_value: "unet" } }
parameters { key: "part.decoder" value { string_value: "decode" } }
parameters { key: "part.preview" value { string_value: "preview; PREVIEW=true" } }"""
ENSEMBLE = 'platform: "ensemble" ensemble_scheduling { step [ { model_name: "decode" }, { model_name: "dht" } ] }'
ON_ENSEMBLE = 'platform: "ensemble" ensemble_scheduling { step [ { model_name: "harmonize" } ] }'


@pytest.fixture
def repositories(tmp_path):
    """Two repositories, as the project's: `dht` is exported, `unet` is not."""
    models, ensembles = tmp_path / "models", tmp_path / "ensembles"
    for folder, configs in (
        (models, {"dht": NETWORK, "unet": NETWORK, "decode": PYTHON}),
        (ensembles, {"harmonize": ENSEMBLE, "above": ON_ENSEMBLE, "diffuse": LOOP}),
    ):
        for name, config in configs.items():
            (folder / name / "1").mkdir(parents=True)
            (folder / name / "config.pbtxt").write_text(config)
    (models / "dht" / "1" / "model.onnx").touch()
    return models, ensembles


def write_profile(repositories, name: str, config: str) -> None:
    folder = repositories[0] / "dht" / "configs"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.pbtxt").write_text(config)


def shown(repositories, directory: Path, chosen: dict[str, Variant]) -> list[Path]:
    """The folders that a server sees, with all models that can be served."""
    directory.mkdir()
    view = View(repositories)
    view.open(directory)
    view.show(Inventory.of(repositories, unexported(repositories)).runs, chosen)
    return view.folders


def test_a_network_that_is_not_there_is_left_out_and_so_is_the_loop_that_needs_it(repositories):
    assert unexported(repositories) == {"unet", "diffuse"}


def test_pipelines_are_left_out_with_what_they_are_built_on(repositories):
    (repositories[0] / "dht" / "1" / "model.onnx").unlink()
    assert unexported(repositories) > {"unet", "diffuse", "dht", "harmonize", "above"}


def test_a_helper_is_left_out_with_the_last_pipeline_that_asks_it(repositories):
    (repositories[0] / "dht" / "1" / "model.onnx").unlink()
    assert "decode" in unexported(repositories)


def test_a_helper_that_no_pipeline_asks_is_served(repositories):
    (repositories[0] / "identity").mkdir()
    (repositories[0] / "identity" / "config.pbtxt").write_text(PYTHON)
    assert "identity" not in unexported(repositories)


def test_a_chosen_variant_is_shown_in_the_place_of_the_default(repositories, tmp_path):
    write_profile(repositories, "tensorrt", NETWORK.replace("model.onnx", "model.plan"))
    chosen = {"dht": variants(repositories)["dht"]["tensorrt"]}
    models, _ = shown(repositories, tmp_path / "views", chosen)
    config = pbtxt.read(models / "dht" / "config.pbtxt", "dht")
    assert (config.default_model_filename, config.parameters["profile"].string_value) == ("model.plan", "tensorrt")
    assert (models / "dht" / "1" / "model.onnx").is_file()


def test_a_variant_is_shown_on_the_device_that_was_chosen(repositories, tmp_path):
    write_profile(repositories, "cuda", f"{NETWORK} instance_group [ {{ count: 1 kind: KIND_GPU }} ]")
    found = variants(repositories)["dht"]["cuda"]
    for device, kind, gpus in ((None, "KIND_GPU", []), (Device(1), "KIND_GPU", [1]), (Device(), "KIND_CPU", [])):
        models, _ = shown(repositories, tmp_path / f"views-{device}", {"dht": replace(found, device=device)})
        [group] = pbtxt.read(models / "dht" / "config.pbtxt", "dht").instance_group
        assert (group.Kind.Name(group.kind), list(group.gpus)) == (kind, gpus)


def test_a_device_is_one_of_the_machines(tmp_path, monkeypatch):
    monkeypatch.setattr("concord.device._GPUS", tmp_path)
    for name in ("0000:01:00.0", "0000:02:00.0"):
        (tmp_path / name).mkdir()
    assert [Device.of("cpu"), Device.of("gpu:1")] == [Device(), Device(1)]
    with pytest.raises(InvalidSetting, match=r"device: this machine has no 'gpu:2'; allowed: cpu, gpu:0, gpu:1"):
        Device.of("gpu:2")


def test_a_network_is_as_large_as_the_weights_beside_it_and_its_file_when_it_is_read(repositories):
    version = repositories[0] / "dht" / "1"
    for name, size in {"model.onnx": 3, "weights-abc.bin": 50, "model.int8.xml": 700, "model.int8.bin": 9000}.items():
        (version / name).write_bytes(bytes(size))
    write_profile(repositories, "int8", NETWORK.replace("model.onnx", "model.int8.xml"))
    found = variants(repositories)["dht"]
    assert {name: variant.size for name, variant in found.items()} == {"default": 56, "int8": 9700}


def test_a_model_that_was_loaded_again_is_shown_with_the_count_and_in_its_form(repositories, tmp_path):
    write_profile(repositories, "bf16", NETWORK)
    chosen = {"dht": variants(repositories)["dht"]["bf16"]}
    view = View(repositories)
    (tmp_path / "views").mkdir()
    view.open(tmp_path / "views")
    for count in ("1", "2"):
        view.show_reloaded("dht", chosen)
        parameters = pbtxt.read(view.folders[0] / "dht" / "config.pbtxt", "dht").parameters
        parameters.pop("shown", None)
        assert {name: value.string_value for name, value in parameters.items()} == {"reloads": count, "profile": "bf16"}


def test_what_can_be_served_is_shown_under_its_own_name(repositories, tmp_path):
    models, ensembles = shown(repositories, tmp_path / "views", {})
    assert {path.name for path in models.iterdir()} == {"dht", "decode"}
    assert {path.name for path in ensembles.iterdir()} == {"harmonize", "above"}
    assert (models / "dht" / "1" / "model.onnx").is_file()


def test_a_folder_that_another_version_left_behind_is_not_shown(repositories, tmp_path):
    (repositories[0] / "renamed" / "1" / "__pycache__").mkdir(parents=True)
    models, _ = shown(repositories, tmp_path / "views", {})
    assert "renamed" not in {path.name for path in models.iterdir()}


def test_nothing_to_serve_is_an_error_that_names_the_networks(tmp_path):
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "config.pbtxt").write_text(NETWORK)
    with pytest.raises(ServerFailure, match="no network has been exported: unet"):
        unexported([tmp_path])


def test_a_broken_configuration_is_named(tmp_path):
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "config.pbtxt").write_text("backend: [")
    with pytest.raises(ServerFailure, match=r"unet/config\.pbtxt"):
        unexported([tmp_path])


def test_a_part_that_cannot_be_read_is_named_with_its_file(repositories):
    config = repositories[1] / "diffuse" / "config.pbtxt"
    config.write_text(LOOP.replace('"unet"', '"; unet"'))
    with pytest.raises(ServerFailure, match=r"diffuse/config\.pbtxt: part\.unet: is '; unet'; allowed: MODEL, "):
        unexported(repositories)
