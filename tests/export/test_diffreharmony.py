"""DiffReHarmony from diffusers' folder: both networks are exact, the VAE is shared, and what does not fit is named."""

import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from concord.tokenizer import END, START
from export.__main__ import main
from export.onnx_file import session
from tests.commands import run as run_command
from tests.export import small_diffusion as small
from tests.export.test_diffusion import noise, path_of

export = partial(run_command, main, "diffreharmony", "--convolution", "direct")
CHANNELS = small.UNET["block_out_channels"][0]


def head(kernel: int) -> nn.Conv2d:
    torch.manual_seed(kernel)
    return nn.Conv2d(CHANNELS, 1, kernel, padding=kernel // 2)


def save(folder: Path, kernel: int = 1, prefix: str = "", **text: int) -> Path:
    small.save_pipeline(folder, text=False)
    small.text_encoder(**{"max_position_embeddings": 77} | text).save_pretrained(folder / "text_encoder")
    weights = {f"{prefix}{key}": value for key, value in head(kernel).state_dict().items()}
    save_file(weights, folder / "mask_head.safetensors")
    return folder


def weights(outputs: int, *shape: int) -> dict[str, torch.Tensor]:
    return {"weight": torch.zeros(outputs, *shape), "bias": torch.zeros(outputs)}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository into which the pipeline was exported."""
    folder = tmp_path_factory.mktemp("first")
    arguments = ("--pipeline", save(folder / "saved"), "--model-repository", folder / "models")
    finished = export(*arguments, "--head-input", "normalized")
    assert finished.returncode == 0, finished.stderr
    assert "now served: vae_encoder, vae_decoder, latent_preview, text_encoder, referring_unet\n" in finished.stdout
    return folder / "models"


@pytest.fixture(scope="module")
def second(first: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same repository with the pipeline of another head, whose keys have a prefix."""
    folder = tmp_path_factory.mktemp("second")
    shutil.copytree(first, folder / "models")
    arguments = ("--pipeline", save(folder / "saved", 3, "mask_head."), "--model-repository", folder / "models")
    finished = export(*arguments, "--head-input", "features")
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.count("now served: text_encoder, referring_unet\n") == 1
    return folder / "models"


@pytest.fixture(params=[("first", 1, "normalized"), ("second", 3, "features")], ids=["1x1", "3x3"])
def exported(request: pytest.FixtureRequest) -> tuple[Path, int, str]:
    name, kernel, reads = request.param
    return request.getfixturevalue(name), kernel, reads


@pytest.mark.parametrize(("batch", "height", "width"), [(1, 32, 32), (3, 8, 20)])
def test_the_unet_is_diffusers_with_a_mask_of_ones_and_the_head_on_its_penultimate_features(
    exported: tuple[Path, int, str], batch: int, height: int, width: int
) -> None:
    repository, kernel, reads = exported
    feeds = {
        "LATENT": noise(batch, 4, height, width),
        "TIMESTEP": np.array([[749.25], [499.5], [0.125]], np.float32)[:batch],
        "COMPOSITE_LATENT": noise(batch, 4, height, width) / 2,
        "STATES": np.zeros((batch, 77, 768), np.float32),
    }
    states = feeds["STATES"][..., : small.WIDTH] = noise(batch, 77, small.WIDTH)
    answers = session(path_of(repository, "referring_unet")).run(["NOISE", "MASK_LOGITS"], feeds)
    network = small.unet()
    read = network.conv_norm_out if reads == "features" else network.conv_out
    seen: list[torch.Tensor] = []
    read.register_forward_pre_hook(lambda _module, given: seen.append(given[0]))
    sample = np.concatenate([feeds["LATENT"], np.ones((batch, 1, height, width), "f"), feeds["COMPOSITE_LATENT"]], 1)
    with torch.no_grad():
        expected = network(
            torch.from_numpy(sample), torch.from_numpy(feeds["TIMESTEP"][:, 0]), torch.from_numpy(states)
        ).sample
        logits = head(kernel)(seen[0])
    np.testing.assert_allclose(answers[0], expected.numpy(), atol=2e-5)
    np.testing.assert_allclose(answers[1], logits.numpy(), atol=2e-5)


def test_the_text_encoder_is_transformers_with_zeros_behind(exported: tuple[Path, int, str]) -> None:
    tokens = np.array([[START, 320, 736, *[END] * 74], [START, *[END] * 76]])
    [states] = session(path_of(exported[0], "text_encoder")).run(None, {"TOKENS": tokens})
    with torch.no_grad():
        expected = small.text_encoder(max_position_embeddings=77)(torch.from_numpy(tokens)).last_hidden_state
    np.testing.assert_allclose(states[..., : small.WIDTH], expected.numpy(), atol=1e-5)
    assert states.shape == (2, 77, 768) and not states[..., small.WIDTH :].any()


def test_the_record_says_what_the_head_is(exported: tuple[Path, int, str]) -> None:
    repository, kernel, reads = exported
    record = json.loads((repository / "referring_unet" / "1" / "model.json").read_text())
    assert record["mask_head"] == {"kernel": kernel, "before_norm": reads == "features"}
    assert "mask_head.safetensors" in record["checkpoints"]


def test_the_vae_that_is_served_already_stays_and_another_one_is_refused(
    first: Path, second: Path, tmp_path: Path
) -> None:
    files = [repository / "vae_decoder" / "1" / "model.onnx" for repository in (first, second)]
    assert files[0].stat().st_mtime_ns == files[1].stat().st_mtime_ns
    small.vae(seed=5).save_pretrained(tmp_path / "other")
    finished = export("--pipeline", save(tmp_path / "saved"), "--vae", tmp_path / "other", "--model-repository", second)
    assert finished.returncode == 1
    assert "the VAE of another pipeline is served as vae_encoder" in finished.stderr


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (weights(1, CHANNELS, 5, 5), "is (1, 8, 5, 5); allowed are (1, 8, 1, 1) and (1, 8, 3, 3)"),
        (weights(1, 320, 1, 1), "is (1, 320, 1, 1); allowed are (1, 8, 1, 1) and (1, 8, 3, 3)"),
        (weights(2, CHANNELS, 1, 1), "is (2, 8, 1, 1); allowed"),
        ({"weight": torch.zeros(1, CHANNELS, 1, 1)}, "has the keys weight; a mask head has weight and bias"),
    ],
)
def test_a_head_that_does_not_fit_is_named(tmp_path: Path, given: dict[str, torch.Tensor], message: str) -> None:
    folder, file, models = save(tmp_path / "saved"), tmp_path / "head.safetensors", tmp_path / "models"
    save_file(given, file)
    finished = export("--pipeline", folder, "--head", file, "--model-repository", models)
    assert finished.returncode == 1 and message in finished.stderr
    assert finished.stderr.count("\n") == 1 and not models.exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ({"hidden_size": 16}, "the text encoder's states are 16 wide, the UNet's text 12"),
        ({"max_position_embeddings": 20}, "the text encoder reads 20 tokens, not 77"),
    ],
)
def test_a_text_encoder_of_another_kind_is_named(tmp_path: Path, text: dict[str, int], message: str) -> None:
    finished = export("--pipeline", save(tmp_path / "saved", **text), "--model-repository", tmp_path / "models")
    assert finished.returncode == 1 and message in finished.stderr


def test_a_folder_without_a_head_says_which_file_is_missing(tmp_path: Path) -> None:
    folder = save(tmp_path / "saved")
    (folder / "mask_head.safetensors").unlink()
    finished = export("--pipeline", folder, "--model-repository", tmp_path / "models")
    assert finished.returncode == 1 and "mask_head.safetensors: no such file" in finished.stderr
