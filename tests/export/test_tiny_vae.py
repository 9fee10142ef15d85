"""The tiny autoencoder is exported from the authors' files and from diffusers' folder, half by half."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny
from safetensors.torch import load_file, save_file

from concord.repository.profiles import INT8_FILE
from concord.squash import LATENT_STRIDE
from export import calibration, golden, quantization
from export.__main__ import main
from export.checkpoint import CheckpointError
from export.convert import convert
from export.networks import tiny_decoder, tiny_encoder
from export.networks.tiny_vae import TinyVae
from export.onnx_file import publish, session
from export.publication import record_of
from tests.commands import run
from tests.export import small_diffusion as small
from tests.export.test_engine import place_demo

export = partial(run, main)

PUBLISHED = Path(__file__).parents[1] / "published"
WEIGHTS = "diffusion_pytorch_model.safetensors"
GENERATOR = np.random.default_rng(0)
COMPOSITE = GENERATOR.integers(0, 256, (2, 32, 64, 3), np.uint8)
LATENT = GENERATOR.standard_normal((2, 4, 4, 8), np.float32) * 2


def narrow(seed: int = 0) -> AutoencoderTiny:
    """Eight channels wide, with fewer blocks than the published one."""
    torch.manual_seed(seed)
    return AutoencoderTiny(
        encoder_block_out_channels=(8,) * 4,
        decoder_block_out_channels=(8,) * 4,
        num_encoder_blocks=(1, 1, 2, 1),
        num_decoder_blocks=(1, 2, 1, 1),
    ).eval()


def saved(folder: Path, **entries: object) -> Path:
    """In diffusers' layout; some entries of its config are others."""
    narrow().save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | entries))
    return folder


def served(repository: Path, name: str, **feeds: np.ndarray) -> np.ndarray:
    return session(repository / name / "1" / "model.onnx").run(None, feeds)[0]


def test_both_halves_of_diffusers_folder_answer_as_diffusers_does(tmp_path: Path) -> None:
    folder, network = saved(tmp_path / "tiny"), narrow()
    for command in ("tiny_encoder", "tiny_decoder"):
        finished = export(command, "--checkpoint", folder, "--model-repository", tmp_path / "models")
        assert finished.returncode == 0, finished.stderr
    with torch.no_grad():
        latent = network.encode(torch.from_numpy(COMPOSITE).permute(0, 3, 1, 2) / 127.5 - 1).latents
        image = network.decode(torch.from_numpy(LATENT)).sample / 2 + 0.5
    np.testing.assert_allclose(
        served(tmp_path / "models", "tiny_encoder", COMPOSITE=COMPOSITE), latent.numpy(), atol=2e-5
    )
    np.testing.assert_allclose(served(tmp_path / "models", "tiny_decoder", LATENT=LATENT), image.numpy(), atol=2e-5)
    record = record_of(tmp_path / "models", "tiny_decoder")
    assert (record["network"], record["config"]) == ("TinyDecoder", {"blocks": [1, 2, 1, 1], "width": 8})
    assert list(record["checkpoints"]) == [f"tiny/{WEIGHTS}"] and record["pipeline"] is None


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_the_authors_files_are_bare_and_hold_one_half_each(tmp_path: Path, suffix: str) -> None:
    encoder, decoder = small.tiny_vae().values()
    write = torch.save if suffix == ".pth" else save_file
    for name, network in (("encoder", encoder), ("decoder", decoder)):
        write(dict(network.state_dict()), tmp_path / f"taesd_{name}{suffix}")
    convert(tiny_encoder.NETWORK, tmp_path / f"taesd_encoder{suffix}", tmp_path)
    convert(tiny_decoder.NETWORK, tmp_path / f"taesd_decoder{suffix}", tmp_path)
    with torch.no_grad():
        latent, image = encoder(torch.from_numpy(COMPOSITE).permute(0, 3, 1, 2) / 255), decoder(torch.tensor(LATENT))
    assert latent.shape[2:] == tuple(side // LATENT_STRIDE for side in COMPOSITE.shape[1:3])
    np.testing.assert_allclose(served(tmp_path, "tiny_encoder", COMPOSITE=COMPOSITE), latent.numpy(), atol=2e-5)
    np.testing.assert_allclose(served(tmp_path, "tiny_decoder", LATENT=LATENT), image.numpy(), atol=2e-5)
    with pytest.raises(
        CheckpointError, match="not a checkpoint of tiny_decoder, but of tiny_encoder: python -m export"
    ):
        convert(tiny_decoder.NETWORK, tmp_path / f"taesd_encoder{suffix}", tmp_path)


@pytest.mark.parametrize("half", ["encoder", "decoder"])
def test_a_half_is_built_in_int8(tmp_path: Path, half: str) -> None:
    place_demo(tmp_path, "vae_encoder")  # which makes the latents that a decoder is calibrated on
    network = small.tiny_vae()[half]
    module, served = {
        "encoder": (tiny_encoder, tiny_encoder.ServedTinyEncoder),
        "decoder": (tiny_decoder, tiny_decoder.ServedTinyDecoder),
    }[half]
    publish(served(network), module.NETWORK, tmp_path, {})
    quantization.build(module.NETWORK.name, tmp_path, "int8", number=calibration.LEAST)
    record = json.loads((tmp_path / module.NETWORK.name / "1" / f"{INT8_FILE}.json").read_text())
    assert record["snr_db"][0] > record["least_snr_db"]


@pytest.mark.parametrize("seed", [2, 3])
def test_the_published_sizes_answer_as_diffusers_for_weights_of_other_seeds(seed: int) -> None:
    rule = golden.load_rule(PUBLISHED / "weights.py")
    ours, theirs = TinyVae().eval(), AutoencoderTiny().eval()
    drawn = rule.state_dict({key: tuple(value.shape) for key, value in ours.state_dict().items()}, seed)
    weights = {key: torch.from_numpy(value) for key, value in drawn.items()}
    ours.load_state_dict(weights)
    renamed = {}
    for key, value in weights.items():
        half, index, rest = key.split(".", 2)
        renamed[f"{half}.layers.{int(index) - (half == 'decoder')}.{rest}"] = value
    theirs.load_state_dict(renamed)
    image, latent = (
        torch.from_numpy(rule.image(64, 48, seed)[None]),
        torch.from_numpy(rule.noise("z", (1, 4, 8, 6), seed)),
    )
    with torch.no_grad():
        encoded, decoded = ours(image, latent)
        torch.testing.assert_close(encoded, theirs.encode(2 * image - 1).latents, atol=5e-4, rtol=0)
        torch.testing.assert_close(decoded, theirs.decode(latent).sample / 2 + 0.5, atol=2e-3, rtol=0)


@pytest.mark.parametrize("half", ["encoder", "decoder"])
@pytest.mark.parametrize(
    ("channels", "family"), [(16, r"Stable Diffusion 3 or FLUX\.1 \(taesd3, taef1\)"), (32, r".*taef2, taesana")]
)
def test_latents_of_another_family_are_refused_by_its_name(
    tmp_path: Path, half: str, channels: int, family: str
) -> None:
    network = AutoencoderTiny(
        encoder_block_out_channels=(8,) * 4, decoder_block_out_channels=(8,) * 4, latent_channels=channels
    )
    network.save_pretrained(tmp_path / "tiny")
    model = {"encoder": tiny_encoder, "decoder": tiny_decoder}[half].NETWORK
    with pytest.raises(CheckpointError, match=f"its latents have {channels} channels: it is of {family}"):
        convert(model, tmp_path / "tiny", tmp_path / "models")
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"_class_name": "AutoencoderKL"}, "its config is of AutoencoderKL, not of AutoencoderTiny"),
        ({"act_fn": "gelu"}, "its config has act_fn 'gelu'; only 'relu' can be exported"),
        ({"scaling_factor": 0.5}, "its config has scaling_factor 0.5; only 1.0"),
        ({"num_decoder_blocks": [3, 3, 3, 1]}, "missing: "),
        ({"num_decoder_blocks": 3}, "its config is not usable"),
    ],
)
def test_a_config_that_does_not_fit_is_refused_and_nothing_replaced(
    tmp_path: Path, entries: dict, message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        convert(tiny_decoder.NETWORK, saved(tmp_path / "tiny", **entries), tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_weights_that_are_no_convolutions_are_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path / "tiny")
    weights = load_file(folder / WEIGHTS)
    save_file(weights | {"decoder.layers.0.weight": torch.zeros(())}, folder / WEIGHTS)
    with pytest.raises(CheckpointError, match="its first and last layers are no convolutions"):
        convert(tiny_decoder.NETWORK, folder, tmp_path / "models")


def test_a_folder_with_a_strange_key_is_refused_with_it(tmp_path: Path) -> None:
    folder = saved(tmp_path / "tiny")
    save_file(load_file(folder / WEIGHTS) | {"decoder.layers.99.weight": torch.zeros(3, 8, 3, 3)}, folder / WEIGHTS)
    with pytest.raises(CheckpointError, match=r"left over: 100\.weight"):
        convert(tiny_decoder.NETWORK, folder, tmp_path / "models")
