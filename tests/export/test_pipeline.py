"""A pipeline is read from every layout it is published in, and refused with the reason where it does not fit."""

import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from export import pipeline, stable_diffusion
from export.checkpoint import CheckpointError
from tests.export import small_diffusion as small

SAFE, BIN = "diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.save_pipeline(tmp_path_factory.mktemp("saved"))


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return shutil.copytree(saved, tmp_path / "pipeline")


def read(folder: Path) -> pipeline.Pipeline:
    return pipeline.read(folder, None, None, None)


def edit(path: Path, **entries: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def same(found: torch.nn.Module, expected: torch.nn.Module) -> bool:
    weights, wanted = found.state_dict(), expected.state_dict()
    return weights.keys() == wanted.keys() and all(torch.equal(weights[key], wanted[key]) for key in wanted)


@pytest.mark.parametrize("safe", [True, False], ids=["safetensors", "bin"])
def test_a_folder_that_diffusers_saved_gives_its_networks(tmp_path: Path, safe: bool) -> None:
    found = read(small.save_pipeline(tmp_path, safe, text=False))
    assert same(found.unet, small.unet()) and same(found.vae, small.vae())
    assert set(found.checkpoints) == {f"unet/{SAFE if safe else BIN}", f"vae/{SAFE if safe else BIN}"}
    assert found.states is None


def test_half_precision_variants_are_read_as_full_precision(folder: Path) -> None:
    (folder / "unet" / SAFE).unlink()
    half = {key: value.half() for key, value in small.unet().state_dict().items()}
    save_file(half, folder / "unet" / "diffusion_pytorch_model.fp16.safetensors")
    assert read(folder).unet.conv_in.weight.dtype == torch.float32


def test_the_empty_prompt_is_encoded_as_the_text_encoder_does(saved: Path) -> None:
    ids = torch.tensor([[49406, 49407, 49407, 49407, 49407]])
    with torch.no_grad():
        expected = small.text_encoder()(ids).last_hidden_state[0]
    states = read(saved).states
    assert states is not None
    torch.testing.assert_close(states, expected)


def test_a_text_encoder_of_older_transformers_is_read(folder: Path) -> None:
    weights = load_file(folder / "text_encoder" / "model.safetensors")
    old = {f"text_model.{key}": value for key, value in weights.items()}
    old["text_model.embeddings.position_ids"] = torch.arange(5)[None]
    (folder / "text_encoder" / "model.safetensors").unlink()
    torch.save(old, folder / "text_encoder" / "pytorch_model.bin")
    assert torch.equal(read(folder).states, read(small.save_pipeline(folder.parent / "new")).states)


def test_stored_text_states_take_the_place_of_a_text_encoder(folder: Path) -> None:
    states = torch.randn(3, small.WIDTH)
    save_file({"states": states}, folder / "null_text.safetensors")
    assert torch.equal(read(folder).states, states)
    save_file({"states": states + 1}, folder.parent / "other.safetensors")
    found = pipeline.read(folder, None, None, folder.parent / "other.safetensors")
    assert torch.equal(found.states, states + 1)


def test_parts_come_from_elsewhere_where_a_path_is_given(saved: Path, tmp_path: Path) -> None:
    small.vae(seed=5).save_pretrained(tmp_path / "vae")
    assert same(pipeline.read(saved, None, tmp_path / "vae", None).vae, small.vae(seed=5))
    alone = pipeline.read(None, saved / "unet", tmp_path / "vae" / SAFE, None)
    assert same(alone.unet, small.unet()) and same(alone.vae, small.vae(seed=5))
    with pytest.raises(CheckpointError, match="both --unet and --vae"):
        pipeline.read(None, saved / "unet", None, None)


def test_attention_keys_of_older_vaes_are_renamed(folder: Path) -> None:
    old = {}
    for key, value in small.vae().state_dict().items():
        for new, former in (("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")):
            key = key.replace(f".{new}.", f".{former}.")
        old[key] = value
    assert any(".proj_attn." in key for key in old)
    (folder / "vae" / SAFE).unlink()
    torch.save(old, folder / "vae" / BIN)
    assert same(read(folder).vae, small.vae())


@pytest.mark.parametrize(
    ("channels", "family"),
    [(4, "text-to-image Stable Diffusion"), (8, "InstructPix2Pix"), (6, "no family known here")],
)
def test_a_unet_of_another_family_is_named(folder: Path, channels: int, family: str) -> None:
    small.unet(in_channels=channels).save_pretrained(folder / "unet")
    with pytest.raises(CheckpointError, match=rf"\(8, {channels}, 3, 3\), {channels} input channels: that of {family}"):
        read(folder)


@pytest.mark.parametrize(
    "missing",
    ["unet", "vae", f"unet/{SAFE}", "vae/config.json", "scheduler/scheduler_config.json", "text_encoder/config.json"],
)
def test_a_missing_file_is_named(folder: Path, missing: str) -> None:
    path = folder / missing
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    with pytest.raises(CheckpointError, match=str(path)):
        read(folder)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="nowhere: no such folder"):
        read(tmp_path / "nowhere")


@pytest.mark.parametrize("name", [f"unet/{SAFE}", f"vae/{SAFE}", "unet/config.json", "text_encoder/model.safetensors"])
@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_a_truncated_file_is_named(folder: Path, name: str, share: float) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: int(len(content) * share)])
    with pytest.raises(CheckpointError, match=str(folder / name)):
        read(folder)


def test_a_hostile_pickle_is_refused_and_not_run(folder: Path, tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "witness",))

    (folder / "unet" / SAFE).unlink()
    for write in (torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))):
        write({"conv_in.weight": Hostile()}, folder / "unet" / BIN)
        with pytest.raises(CheckpointError, match=BIN):
            read(folder)
    assert not (tmp_path / "witness").exists()


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("beta_schedule", "squaredcos_cap_v2"),
        ("beta_start", 0.0001),
        ("beta_end", 0.02),
        ("num_train_timesteps", 500),
        ("prediction_type", "v_prediction"),
        ("rescale_betas_zero_snr", True),
    ],
)
def test_another_noise_schedule_is_refused_by_its_entry(folder: Path, entry: str, value: object) -> None:
    edit(folder / "scheduler" / "scheduler_config.json", **{entry: value})
    with pytest.raises(CheckpointError, match=f"scheduler_config.json: {entry} is {value!r}; the samplers are for"):
        read(folder)


@pytest.mark.parametrize(
    ("part", "entries", "message"),
    [
        ("unet", {"_class_name": "UNet3DConditionModel"}, "its config is of UNet3DConditionModel"),
        ("unet", {"block_out_channels": [8]}, "its config is not usable"),
        ("unet", {"block_out_channels": [8, 24]}, "of another shape: down_blocks"),
        ("unet", {"layers_per_block": 2}, "missing: down_blocks.0.resnets.1"),
        ("vae", {"layers_per_block": 0}, "left over: "),
        ("vae", {"shift_factor": 0.1}, "shift_factor"),
        ("text_encoder", {"vocab_size": 1000}, "the text encoder knows 1000 tokens"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(folder: Path, part: str, entries: dict, message: str) -> None:
    edit(folder / part / "config.json", **entries)
    with pytest.raises(CheckpointError, match=message):
        read(folder)


def test_a_vae_of_another_factor_is_refused(folder: Path) -> None:
    three = {"down_block_types": small.VAE["down_block_types"][:3], "up_block_types": small.VAE["up_block_types"][:3]}
    small.vae(block_out_channels=(4, 4, 8), **three).save_pretrained(folder / "vae")
    with pytest.raises(CheckpointError, match="4 channels at 1/4 of the size"):
        read(folder)


def test_a_unet_that_wants_more_than_text_is_refused() -> None:
    network = small.unet(class_embed_type="timestep")
    with pytest.raises(CheckpointError, match="class_embed_type 'timestep'"):
        stable_diffusion.unet(dict(network.config), dict(network.state_dict()))


def test_without_a_config_the_published_sizes_are_assumed(saved: Path, tmp_path: Path) -> None:
    shutil.copy(saved / "unet" / SAFE, tmp_path / "unet.safetensors")
    with pytest.raises(
        CheckpointError, match=r"of another shape: conv_in.weight \(8, 9, 3, 3\) instead of \(320, 9, 3, 3\)"
    ):
        pipeline.read(None, tmp_path / "unet.safetensors", saved / "vae", None)
