"""DiffReHarmony from diffusers' folder: both networks are exact, the VAE is shared, and what does not fit is named."""

import json
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
HEADS = [(1, "normalized"), (3, "features")]


def head(kernel: int) -> nn.Conv2d:
    torch.manual_seed(kernel)
    return nn.Conv2d(CHANNELS, 1, kernel, padding=kernel // 2)


def save(folder: Path, kernel: int = 1, **text: int) -> Path:
    small.save_pipeline(folder, text=False)
    small.text_encoder(**{"max_position_embeddings": 77} | text).save_pretrained(folder / "text_encoder")
    save_file(head(kernel).state_dict(), folder / "mask_head.safetensors")
    return folder


def weights(outputs: int, *shape: int) -> dict[str, torch.Tensor]:
    return {"weight": torch.zeros(outputs, *shape), "bias": torch.zeros(outputs)}


@pytest.fixture(scope="module", params=HEADS, ids=lambda each: f"{each[0]}x{each[0]}-{each[1]}")
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, str]:
    kernel, reads = request.param
    folder = tmp_path_factory.mktemp("diffreharmony")
    arguments = ("--pipeline", save(folder / "saved", kernel), "--model-repository", folder / "models")
    finished = export(*arguments, "--head-input", reads)
    assert finished.returncode == 0, finished.stderr
    assert "now served: vae_encoder, vae_decoder, latent_preview, text_encoder, referring_unet\n" in finished.stdout
    return folder / "models", kernel, reads


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


def test_the_vae_that_is_served_already_stays_and_another_one_is_refused(tmp_path: Path) -> None:
    models = tmp_path / "models"
    arguments = ("--pipeline", save(tmp_path / "saved"), "--model-repository", models)
    assert run_command(main, "diffharmony", *arguments).returncode == 0
    before = {path: path.stat().st_mtime_ns for path in models.rglob("model.onnx")}
    finished = export(*arguments)
    assert finished.stdout.count("now served: text_encoder, referring_unet\n") == 1, finished.stderr
    assert {path: path.stat().st_mtime_ns for path in before} == before
    small.vae(seed=5).save_pretrained(tmp_path / "saved" / "vae")
    finished = export(*arguments)
    assert finished.returncode == 1
    assert "the VAE of another pipeline is served as vae_encoder" in finished.stderr


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"weight": torch.zeros(1, CHANNELS, 5, 5), "bias": torch.zeros(1)},
            "is (1, 8, 5, 5); allowed are (1, 8, 1, 1)",
        ),
        ({"weight": torch.zeros(1, 320, 1, 1), "bias": torch.zeros(1)}, "is (1, 320, 1, 1); allowed are (1, 8, 1, 1)"),
        ({"weight": torch.zeros(2, CHANNELS, 1, 1), "bias": torch.zeros(2)}, "is (2, 8, 1, 1); allowed"),
        ({"weight": torch.zeros(1, CHANNELS, 1, 1)}, "has the keys weight; a mask head has weight and bias"),
    ],
)
def test_a_head_that_does_not_fit_is_named(tmp_path: Path, given: dict[str, torch.Tensor], message: str) -> None:
    folder = save(tmp_path / "saved")
    save_file(weights, tmp_path / "head.safetensors")
    finished = export(
        "--pipeline", folder, "--head", tmp_path / "head.safetensors", "--model-repository", tmp_path / "m"
    )
    assert finished.returncode == 1 and message in finished.stderr
    assert finished.stderr.count("\n") == 1 and not (tmp_path / "m").exists()


def test_a_head_s_keys_may_have_a_prefix(tmp_path: Path) -> None:
    folder = save(tmp_path / "saved")
    torch.save({f"mask_head.{key}": value for key, value in head(3).state_dict().items()}, tmp_path / "head.pth")
    finished = export("--pipeline", folder, "--head", tmp_path / "head.pth", "--model-repository", tmp_path / "models")
    assert finished.returncode == 0, finished.stderr


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
