import pytest

from concord.errors import ServerFailure
from concord.repository import pbtxt
from concord.server.declared import show_exported, unexported
from concord.variants import variants

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
    configs = repositories[0] / "dht" / "configs"
    configs.mkdir()
    (configs / "tensorrt.pbtxt").write_text(NETWORK.replace("model.onnx", "model.plan"))
    (tmp_path / "views").mkdir()
    chosen = {"dht": variants(repositories)["dht"]["tensorrt"]}
    models, _ = show_exported(repositories, unexported(repositories), tmp_path / "views", chosen)
    shown = pbtxt.read(models / "dht" / "config.pbtxt", "dht")
    assert (shown.default_model_filename, shown.parameters["profile"].string_value) == ("model.plan", "tensorrt")
    assert (models / "dht" / "1" / "model.onnx").is_file()


def test_what_can_be_served_is_shown_under_its_own_name(repositories, tmp_path):
    (tmp_path / "views").mkdir()
    models, ensembles = show_exported(repositories, unexported(repositories), tmp_path / "views", {})
    assert {path.name for path in models.iterdir()} == {"dht", "decode"}
    assert {path.name for path in ensembles.iterdir()} == {"harmonize", "above"}
    assert (models / "dht" / "1" / "model.onnx").is_file()


def test_a_folder_that_another_version_left_behind_is_not_shown(repositories, tmp_path):
    (tmp_path / "views").mkdir()
    (repositories[0] / "renamed" / "1" / "__pycache__").mkdir(parents=True)
    models, _ = show_exported(repositories, unexported(repositories), tmp_path / "views", {})
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
