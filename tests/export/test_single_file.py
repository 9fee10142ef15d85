"""A whole Stable Diffusion checkpoint in one file gives the same pipeline as diffusers' folder."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from export import pipeline, single_file
from export.checkpoint import CheckpointError
from tests.export import small_diffusion as small

UNET_NAMES = (  # diffusers' names of the small UNet, and CompVis's
    ("conv_in.", "input_blocks.0.0."),
    ("time_embedding.linear_1.", "time_embed.0."),
    ("time_embedding.linear_2.", "time_embed.2."),
    ("conv_norm_out.", "out.0."),
    ("conv_out.", "out.2."),
    ("down_blocks.0.resnets.0.", "input_blocks.1.0."),
    ("down_blocks.0.attentions.0.", "input_blocks.1.1."),
    ("down_blocks.0.downsamplers.0.conv.", "input_blocks.2.0.op."),
    ("down_blocks.1.resnets.0.", "input_blocks.3.0."),
    ("mid_block.resnets.0.", "middle_block.0."),
    ("mid_block.attentions.0.", "middle_block.1."),
    ("mid_block.resnets.1.", "middle_block.2."),
    ("up_blocks.0.resnets.0.", "output_blocks.0.0."),
    ("up_blocks.0.resnets.1.", "output_blocks.1.0."),
    ("up_blocks.0.upsamplers.0.", "output_blocks.1.1."),
    ("up_blocks.1.resnets.0.", "output_blocks.2.0."),
    ("up_blocks.1.resnets.1.", "output_blocks.3.0."),
)
RESNET_NAMES = (
    ("norm1.", "in_layers.0."),
    ("conv1.", "in_layers.2."),
    ("time_emb_proj.", "emb_layers.1."),
    ("norm2.", "out_layers.0."),
    ("conv2.", "out_layers.3."),
    ("conv_shortcut.", "skip_connection."),
)
VAE_NAMES = (
    (".mid_block.resnets.0.", ".mid.block_1."),
    (".mid_block.resnets.1.", ".mid.block_2."),
    (".mid_block.attentions.0.", ".mid.attn_1."),
    (".conv_norm_out.", ".norm_out."),
    ("conv_shortcut", "nin_shortcut"),
    ("group_norm", "norm"),
    ("to_q.", "q."),
    ("to_k.", "k."),
    ("to_v.", "v."),
    ("to_out.0.", "proj_out."),
)


def compvis_unet(key: str) -> str:
    for ours, theirs in UNET_NAMES:
        if key.startswith(ours):
            rest = key.removeprefix(ours)
            if ".resnets." in ours:
                rest = next((there + rest.removeprefix(here) for here, there in RESNET_NAMES if rest.startswith(here)))
            return f"model.diffusion_model.{theirs}{rest}"
    raise KeyError(key)


def compvis_vae(key: str) -> str:
    for ours, theirs in VAE_NAMES:
        key = key.replace(ours, theirs)
    for level in range(4):
        for part in ("resnets", "downsamplers", "upsamplers"):
            name = {"resnets": "block", "downsamplers": "downsample", "upsamplers": "upsample"}[part]
            dot = "" if part == "resnets" else ".0"
            key = key.replace(f"encoder.down_blocks.{level}.{part}{dot}", f"encoder.down.{level}.{name}")
            key = key.replace(f"decoder.up_blocks.{level}.{part}{dot}", f"decoder.up.{3 - level}.{name}")
    return f"first_stage_model.{key}"


def compvis() -> dict[str, torch.Tensor]:
    """The small pipeline under CompVis's keys, with what else lies in such files."""
    weights = {compvis_unet(key): value for key, value in small.unet().state_dict().items()}
    for key, value in small.vae().state_dict().items():
        is_attention = "attentions" in key and value.ndim == 2
        weights[compvis_vae(key)] = value[:, :, None, None] if is_attention else value
    prefix = "cond_stage_model.transformer.text_model."
    weights |= {prefix + key: value for key, value in small.text_encoder().state_dict().items()}
    weights[f"{prefix}embeddings.position_ids"] = torch.arange(5)[None]
    weights["betas"] = torch.linspace(0.00085, 0.012, 1000)
    return {key: value.contiguous() for key, value in weights.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.save_pipeline(tmp_path_factory.mktemp("saved"))


@pytest.mark.parametrize("name", ["model.safetensors", "model.ckpt"])
def test_a_single_file_gives_the_pipeline_of_the_folder(tmp_path: Path, folder: Path, name: str) -> None:
    if name.endswith(".safetensors"):
        save_file(compvis(), tmp_path / name)
    else:
        torch.save({"state_dict": compvis(), "global_step": 7}, tmp_path / name)
    found, expected = single_file.read(tmp_path / name, folder), pipeline.read(folder, None, None, None)
    for part in ("unet", "vae"):
        weights, wanted = getattr(found, part).state_dict(), getattr(expected, part).state_dict()
        assert weights.keys() == wanted.keys() and all(torch.equal(weights[key], wanted[key]) for key in wanted)
    assert torch.equal(found.states, expected.states)
    assert list(found.checkpoints) == [name]


def test_without_a_text_encoder_there_are_no_states(tmp_path: Path, folder: Path) -> None:
    weights = {key: value for key, value in compvis().items() if not key.startswith("cond_stage_model")}
    save_file(weights, tmp_path / "model.safetensors")
    assert single_file.read(tmp_path / "model.safetensors", folder).states is None


def test_another_family_is_named_by_its_first_convolution(tmp_path: Path, folder: Path) -> None:
    weights = compvis()
    weights["model.diffusion_model.input_blocks.0.0.weight"] = torch.zeros(8, 4, 3, 3)
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"\(8, 4, 3, 3\), 4 input channels: that of text-to-image"):
        single_file.read(tmp_path / "model.safetensors", folder)


@pytest.mark.parametrize("missing", ["output_blocks.3.0.in_layers.2.weight", "time_embed.0.bias", "decoder.mid.attn_1"])
def test_a_file_with_a_part_missing_is_refused(tmp_path: Path, folder: Path, missing: str) -> None:
    save_file({key: value for key, value in compvis().items() if missing not in key}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"model\.safetensors: "):
        single_file.read(tmp_path / "model.safetensors", folder)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="not a single-file Stable Diffusion checkpoint"):
        single_file.read(tmp_path / "model.safetensors", None)


def test_published_sizes_are_assumed_without_configs(tmp_path: Path) -> None:
    save_file(compvis(), tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"model\.safetensors: "):
        single_file.read(tmp_path / "model.safetensors", None)
