"""`python -m export diffharmony` puts a whole pipeline into the repository, each network as diffusers computes it."""

import json
import resource
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from export import pipeline
from export.__main__ import main
from export.networks import BY_PIPELINE
from export.networks.unet import ServedUnet, with_levels
from export.onnx_file import publish, session
from export.pipelines import diffharmony
from export.runtime_form import Form, rewrite
from tests.commands import run as run_command
from tests.export import small_diffusion as small

export = partial(run_command, main, "diffharmony")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.save_pipeline(tmp_path_factory.mktemp("saved"))


@pytest.fixture(scope="module")
def repository(saved: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pipeline, exported once."""
    folder = tmp_path_factory.mktemp("models")
    finished = export("--pipeline", saved, "--model-repository", folder)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.endswith("now served: vae_encoder, vae_decoder, latent_preview, unet\n")
    return folder


def path_of(repository: Path, name: str) -> Path:
    return repository / name / "1" / "model.onnx"


def run(repository: Path, name: str, **feeds: np.ndarray) -> np.ndarray:
    return session(path_of(repository, name)).run(None, feeds)[0]


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape, np.float32)


def unet_feeds(batch: int, height: int, width: int) -> dict[str, np.ndarray]:
    return {
        "LATENT": noise(batch, 4, height, width),
        "TIMESTEP": np.array([[749.25], [499.5], [0.125]], np.float32)[:batch],
        "LATENT_MASK": (noise(batch, 1, height, width) > 0).astype(np.float32),
        "COMPOSITE_LATENT": noise(batch, 4, height, width) / 2,
    }


@pytest.mark.parametrize(("batch", "height", "width"), [(1, 32, 32), (3, 8, 20)])
def test_the_unet_is_diffusers_with_the_published_channel_order(
    repository: Path, batch: int, height: int, width: int
) -> None:
    feeds = unet_feeds(batch, height, width)
    answer = run(repository, "unet", **feeds)
    sample = torch.from_numpy(np.concatenate([feeds["LATENT"], feeds["LATENT_MASK"], feeds["COMPOSITE_LATENT"]], 1))
    ids = torch.tensor([[49406] + [49407] * 4]).expand(batch, -1)
    with torch.no_grad():
        states = small.text_encoder()(ids).last_hidden_state
        expected = small.unet()(sample, torch.from_numpy(feeds["TIMESTEP"][:, 0]), states).sample.numpy()
    np.testing.assert_allclose(answer, expected, atol=2e-5)


def test_a_fraction_of_a_timestep_counts(repository: Path) -> None:
    feeds = unet_feeds(1, 8, 8)
    answers = [run(repository, "unet", **feeds | {"TIMESTEP": np.array([[t]], np.float32)}) for t in (749.0, 749.25)]
    assert np.abs(answers[0] - answers[1]).max() > 1e-5


def test_samples_of_a_batch_do_not_touch_each_other(repository: Path) -> None:
    feeds = unet_feeds(3, 8, 8)
    together = run(repository, "unet", **feeds)
    for n in range(3):
        alone = run(repository, "unet", **{name: value[n : n + 1] for name, value in feeds.items()})
        np.testing.assert_allclose(together[n : n + 1], alone, atol=1e-5)


def test_the_empty_prompt_leaves_no_projection_of_text_in_the_graph(repository: Path) -> None:
    graph = onnx.load(path_of(repository, "unet")).graph
    assert not [name for name, array in weights(graph) if small.WIDTH in array.shape]
    assert len([name for name, array in weights(graph) if array.ndim == 2 and len(array) == 5]) == 4
    assert [value.name for value in graph.input] == ["LATENT", "TIMESTEP", "LATENT_MASK", "COMPOSITE_LATENT"]


def weights(graph: onnx.GraphProto) -> list[tuple[str, np.ndarray]]:
    return [(value.name, numpy_helper.to_array(value)) for value in graph.initializer]


def count(graph: onnx.GraphProto, operator: str) -> int:
    return sum(node.op_type == operator for node in graph.node)


def test_attention_is_one_operator_that_holds_no_scores(repository: Path) -> None:
    graph = onnx.load(path_of(repository, "unet")).graph
    assert count(graph, "MultiHeadAttention") == 4 and count(graph, "Softmax") == 0


def test_plain_attention_needs_no_operator_of_onnx_runtime(tmp_path: Path) -> None:
    network, model = ServedUnet(small.unet(), torch.zeros(5, small.WIDTH)), with_levels(2)
    publish(network, model, tmp_path, {}, partial(rewrite, form=Form("plain", "direct")))
    exported = onnx.load(path_of(tmp_path, "unet"))
    assert {node.domain for node in exported.graph.node} <= {"", "ai.onnx"}
    assert count(exported.graph, "Softmax") == 4


@pytest.mark.parametrize("size", [(64, 64), (32, 96)])
def test_the_encoder_gives_the_scaled_mode(repository: Path, size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (2, *size, 3), np.uint8)
    sample = torch.from_numpy(image).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.no_grad():
        expected = small.vae().encode(sample).latent_dist.mode() * 0.18215
    answer = run(repository, "vae_encoder", COMPOSITE=image)
    np.testing.assert_allclose(answer, expected.numpy(), atol=1e-5)


@pytest.mark.parametrize("size", [(8, 8), (4, 12)])
def test_the_decoder_takes_scaled_latents(repository: Path, size: tuple[int, int]) -> None:
    latent = noise(2, 4, *size) * 0.2
    with torch.no_grad():
        expected = small.vae().decode(torch.from_numpy(latent) / 0.18215).sample / 2 + 0.5
    np.testing.assert_allclose(run(repository, "vae_decoder", LATENT=latent), expected.numpy(), atol=2e-5)


def test_the_preview_is_the_best_linear_map_of_latents(repository: Path) -> None:
    image = np.zeros((1, 64, 64, 3), np.uint8)
    image[:, :, :] = np.linspace(0, 255, 64).astype(np.uint8)[:, None]
    latent = run(repository, "vae_encoder", COMPOSITE=image)
    preview = run(repository, "latent_preview", LATENT=latent)
    assert preview.shape == (1, 8, 8, 3) and preview.dtype == np.uint8
    record = json.loads((repository / "latent_preview" / "1" / "model.json").read_text())
    assert record["error_grey_levels"] < 74  # the deviation of a uniform grey


def test_a_record_names_the_sources_and_the_pipeline(repository: Path, saved: Path) -> None:
    records = [json.loads((repository / name / "1" / "model.json").read_text()) for name in BY_PIPELINE["diffharmony"]]
    assert len({record["pipeline"] for record in records}) == 1
    assert set(records[0]["checkpoints"]) == {
        "unet/diffusion_pytorch_model.safetensors",
        "vae/diffusion_pytorch_model.safetensors",
        "text_encoder/model.safetensors",
    }
    assert [row["batch"] for row in records[1]["differences"]] == [1, 2, 3]


def test_a_full_disk_leaves_what_was_served(repository: Path, tmp_path: Path) -> None:
    """The limit lets the smaller models through and stops the largest one: none of them is replaced."""
    before = {path: path.read_bytes() for path in repository.rglob("*") if path.is_file()}
    limit = path_of(repository, "unet").stat().st_size // 2
    assert path_of(repository, "latent_preview").stat().st_size < limit
    other = small.save_pipeline(tmp_path / "other", seed=3)
    before_limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before_limit[1]))
    try:
        finished = export("--pipeline", other, "--model-repository", repository)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before_limit)
    assert finished.returncode == 1 and "File too large" in finished.stderr
    assert finished.stderr.startswith("export: ") and finished.stderr.count("\n") == 1
    assert {path: path.read_bytes() for path in repository.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--pipeline", "nowhere"], "nowhere: no such folder"),
        (["--single-file", "nowhere.safetensors"], "nowhere.safetensors: no such file"),
        ([], "both --unet and --vae"),
    ],
)
def test_a_pipeline_that_is_not_there_ends_the_command_with_one_line(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    finished = export("--model-repository", tmp_path / "models", *arguments)
    assert finished.returncode == 1 and message in finished.stderr
    assert finished.stderr.startswith("export: ") and finished.stderr.count("\n") == 1
    assert not (tmp_path / "models").exists()


def test_without_states_of_the_empty_prompt_the_command_says_what_to_give(tmp_path: Path) -> None:
    found = pipeline.read(small.save_pipeline(tmp_path / "saved", text=False), None, None, None)
    with pytest.raises(pipeline.CheckpointError, match="give --text-states FILE"):
        diffharmony.publish(found, tmp_path / "models", Form())
    found.states = torch.zeros(5, 7)
    with pytest.raises(pipeline.CheckpointError, match="the text states are 7 wide, the UNet's text 12"):
        diffharmony.publish(found, tmp_path / "models", Form())
    assert not (tmp_path / "models").exists()
