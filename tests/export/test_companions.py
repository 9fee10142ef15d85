"""Harmony-VAE and the refinement network are exported as the authors assemble their inputs."""

import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from export.__main__ import main
from export.checkpoint import Checkpoint, CheckpointError
from export.convert import convert
from export.networks import harmony_vae, refinement
from export.networks.refinement import Refinement, RefinementConfig
from export.onnx_file import session
from export.pipelines import diffharmony
from export.publication import record_of
from export.runtime_form import Form
from tests.commands import run
from tests.export import small_diffusion as small

export = partial(run, main)

ROOT = Path(__file__).parents[2]
WEIGHTS = "diffusion_pytorch_model.safetensors"


def served(repository: Path, name: str, **feeds: np.ndarray) -> np.ndarray:
    return session(repository / name / "1" / "model.onnx").run(None, feeds)[0]


def scene(height: int, width: int) -> tuple[np.ndarray, np.ndarray, torch.Tensor, torch.Tensor]:
    """Two composites and masks, as they are served and as the networks see them."""
    generator = np.random.default_rng(0)
    image = generator.integers(0, 256, (2, height, width, 3), np.uint8)
    mask = generator.integers(0, 2, (2, height, width), np.uint8)
    return image, mask, torch.from_numpy(image).permute(0, 3, 1, 2) / 127.5 - 1, torch.from_numpy(mask)[:, None].float()


def test_harmony_vae_decodes_with_the_composite_and_its_mask(tmp_path: Path) -> None:
    folder = small.save_companion(small.harmony_vae(), small.HARMONY_VAE, tmp_path / "condition_vae")
    finished = export("harmony_vae", "--checkpoint", folder, "--model-repository", tmp_path)
    assert finished.returncode == 0, finished.stderr
    image, mask, seen, seen_mask = scene(32, 64)
    latent = np.random.default_rng(1).standard_normal((2, 4, 4, 8), np.float32)
    with torch.no_grad():
        expected = small.harmony_vae()(torch.from_numpy(latent) / 0.18215, torch.cat((seen, seen_mask), 1))[0] / 2 + 0.5
    answer = served(tmp_path, "harmony_vae", LATENT=latent, COMPOSITE=image, COMPOSITE_MASK=mask)
    np.testing.assert_allclose(answer, expected.numpy(), atol=2e-5)
    record = record_of(tmp_path, "harmony_vae")
    assert record["config"]["block_out_channels"] == [4, 4, 8, 8] and record["pipeline"] is None


def test_without_its_skips_it_is_a_plain_vae() -> None:
    """The connections from the conditional encoder are published as zeros at the start of training."""
    network = small.harmony_vae()
    encoder = network.conditional_encoder
    for conv in (*encoder.down_block_skip_convs, encoder.mid_block_skip_conv, network.latent_skip_conv):
        torch.nn.init.zeros_(conv.weight)
        torch.nn.init.zeros_(conv.bias)
    plain = small.vae()
    plain.load_state_dict({key: value for key, value in network.state_dict().items() if key in plain.state_dict()})
    latent, condition = torch.randn(1, 4, 4, 4), torch.randn(1, 4, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(network.decode(latent, condition), plain.decode(latent).sample)
        mode = plain.encode(condition[:, :3]).latent_dist.mode()
        torch.testing.assert_close(network(latent, condition)[2], mode)


@pytest.mark.parametrize("channels", [pytest.param(3, marks=pytest.mark.full), 7])
def test_a_refinement_network_sees_as_many_channels_as_its_config_says(tmp_path: Path, channels: int) -> None:
    config = small.refinement_config(channels)
    folder = small.save_companion(small.refinement(channels), config, tmp_path / "refinement_7")
    convert(refinement.NETWORK, folder, tmp_path, Form())
    image, mask, seen, seen_mask = scene(32, 64)
    result = np.random.default_rng(2).random((2, 3, 32, 64), np.float32)
    sample = torch.cat((torch.from_numpy(result) * 2 - 1, seen_mask, seen), 1)[:, :channels]
    with torch.no_grad():
        expected = small.refinement(channels)(sample) / 2 + 0.5
    answer = served(tmp_path, "refinement", RESULT=result, COMPOSITE=image, COMPOSITE_MASK=mask)
    np.testing.assert_allclose(answer, expected.numpy(), atol=2e-5)


def test_a_refinement_network_that_learned_nothing_gives_back_the_result() -> None:
    network = small.refinement(7)
    torch.nn.init.zeros_(network.conv_out.weight)
    torch.nn.init.zeros_(network.conv_out.bias)
    sample = torch.randn(1, 7, 16, 16)
    with torch.no_grad():
        assert torch.equal(network(sample), sample[:, :3])


@pytest.mark.parametrize(
    ("first", "channels", "widths"),
    [(64, 7, (64, 128, 256, 256)), (128, 4, (128, 256, 512, 512)), (256, 3, (256, 512, 1024, 1024))],
    ids=["small", "base", "large"],
)
def test_a_file_without_a_config_is_of_the_published_size_it_fits(first: int, channels: int, widths: tuple) -> None:
    config = RefinementConfig(channels, widths)
    with torch.device("meta"):
        weights = Refinement(config).state_dict()
    assert weights["conv_in.weight"].shape[0] == first
    assert refinement.sizes(None, weights) == config


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"in_channels": 5}, "a refinement network has 3, 4 or 7"),
        ({"in_channels": 4}, r"of another shape: conv_in.weight \(4, 7, 3, 3\) instead of \(4, 4, 3, 3\)"),
        ({"layers_per_block": 2}, "missing: down_blocks.0.resnets.1"),
        ({"norm_num_groups": 3}, "its config is not usable"),
    ],
)
def test_a_config_that_does_not_fit_is_refused_and_nothing_replaced(
    tmp_path: Path, entries: dict, message: str
) -> None:
    folder = small.save_companion(small.refinement(7), small.refinement_config(7), tmp_path / "refinement")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | entries))
    with pytest.raises(CheckpointError, match=message):
        convert(refinement.NETWORK, folder, tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_attention_keys_of_older_files_are_renamed(tmp_path: Path) -> None:
    folder = small.save_companion(small.harmony_vae(), small.HARMONY_VAE, tmp_path)
    weights = load_file(folder / WEIGHTS)
    old = {}
    for key, value in weights.items():
        for new, former in (("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")):
            key = key.replace(f".{new}.", f".{former}.")
        old[key] = value
    assert old.keys() != weights.keys()
    loaded = harmony_vae.NETWORK.source.load(Checkpoint(old, (folder / "config.json").read_text(), ""))
    assert loaded.network.network.state_dict().keys() == weights.keys()


def test_a_companion_of_another_pipeline_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, beside in (("harmony_vae", "another"), ("refinement", "this")):
        (tmp_path / name / "1").mkdir(parents=True)
        (tmp_path / name / "1" / "model.json").write_text(json.dumps({"pipeline": beside}))
    diffharmony.report_strangers(tmp_path, "this")
    assert capsys.readouterr().out == (
        "warning: harmony_vae was exported beside another pipeline; export the one that belongs to this\n"
    )


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    folder = small.save_companion(small.refinement(3), small.refinement_config(3), tmp_path / "refinement")
    for name in (WEIGHTS, "config.json"):
        spoiled = shutil.copytree(folder, tmp_path / name / "refinement")
        (spoiled / name).unlink()
        with pytest.raises(CheckpointError, match=f"{spoiled / name}: no such file"):
            convert(refinement.NETWORK, spoiled, tmp_path / "models")
