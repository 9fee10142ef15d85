"""Latent diffusion's super-resolution model: its published file, and its loop beside the published recipe."""

import asyncio
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from concord.arrays import Pixels
from concord.limits import Limits
from concord.loops import ldm_sr as loop
from concord.loops.ldm_sr import LdmSr
from concord.loops.request import LoopRequest
from concord.noise import SeededNoise
from concord.samplers.schedule import Schedule, signal_power
from export.__main__ import main
from export.networks import ldm_inpainting, ldm_sr
from export.networks.ldm_sr import LdmSrNet
from export.networks.ldm_unet import (
    LdmUnet,
    LdmUnetConfig,
    PlainLdmUnet,
    PlainLdmUnetConfig,
    ServedLdmUnet,
    coarsest,
)
from export.networks.map_attention import with_ordinary_attention
from export.networks.vq_autoencoder import MiddleAttention, ServedVqDecoder
from export.pipelines import ldm_inpainting as other_pipeline
from export.pipelines import ldm_sr as pipeline
from export.runtime_form import Form, rewrite
from tests.commands import run
from tests.export import small
from tests.export.latent import TorchHost, published
from tests.serving.pictures import photograph

STEPS, SEED, WINDOW = 5, 7, 32
export = partial(run, main, "ldm_sr")


def test_its_checkpoints_are_told_from_those_of_its_family(tmp_path: Path) -> None:
    with torch.device("meta"):
        own, other = (
            build().state_dict()
            for build in (ldm_sr.PUBLISHED["ldm_bsr_sr"], ldm_inpainting.PUBLISHED["ldm_inpainting_big"])
        )
    assert pipeline.claims(own) and not pipeline.claims(other) and not other_pipeline.claims(own)
    attending_finer = {*own, "model.diffusion_model.input_blocks.7.1.qkv.weight"}
    assert not pipeline.claims(attending_finer)
    small.save_weights(small.ldm_inpainting().state_dict(), small.LDM_INPAINTING, tmp_path / "last.safetensors")
    refused = export("--checkpoint", tmp_path / "last.safetensors", "--model-repository", tmp_path / "models")
    assert refused.returncode == 1
    assert "not a checkpoint of ldm_sr, but of ldm_inpainting: python -m export ldm_inpainting" in refused.stderr


def test_a_weight_that_is_too_many_or_missing_is_listed(tmp_path: Path) -> None:
    weights = small.ldm_sr().state_dict()
    weights["model.diffusion_model.label_emb.weight"] = weights.pop("model.diffusion_model.out.2.bias")
    small.save_weights(weights, small.LDM_SR, tmp_path / "model.safetensors")
    refused = export("--checkpoint", tmp_path / "model.safetensors", "--model-repository", tmp_path / "models")
    assert refused.returncode == 1
    assert "missing: model.diffusion_model.out.2.bias" in refused.stderr
    assert "left over: model.diffusion_model.label_emb.weight" in refused.stderr


def test_attention_in_diffusers_form_is_the_same() -> None:
    torch.manual_seed(0)
    block, x = MiddleAttention(64, 32).eval(), torch.randn(2, 64, 6, 4)
    with torch.no_grad():
        torch.testing.assert_close(block.ordinary()(x), block(x), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "network",
    [LdmUnet(LdmUnetConfig(6, 3, (32, 32, 32, 256))), PlainLdmUnet(PlainLdmUnetConfig(widths=(32, 32, 32, 256)))],
    ids=lambda network: type(network).__name__,
)
def test_wide_layers_are_the_same_on_coarse_maps_that_hold_no_whole_tile(network: LdmUnet | PlainLdmUnet) -> None:
    """Of sides that are odd multiples of 16 the coarsest map has 2 or 6 pixels; a tile has 4."""
    torch.manual_seed(0)
    whole = ServedLdmUnet(network.eval())
    latent, condition = torch.randn(2, 1, 3, 16, 48)
    given = latent, torch.tensor([[481.0]]), condition
    with torch.no_grad():
        expected = whole(*given)
        with_ordinary_attention(whole)
        rewrite(whole, Form("plain"), coarsest(network))
        torch.testing.assert_close(whole(*given), expected, atol=1e-4, rtol=0)


def served(network: LdmSrNet) -> dict[str, nn.Module]:
    return {"unet": ServedLdmUnet(network.unet), "decoder": ServedVqDecoder(network.first_stage_model)}


def looped(networks: dict[str, nn.Module], pixels: Pixels) -> tuple[Pixels, TorchHost]:
    host = TorchHost(networks)
    request = LoopRequest({}, {"SEED": SEED, "STEPS": STEPS}, {role: role for role in networks}, 600)
    return asyncio.run(LdmSr(request, host, Limits()).enlarged(pixels)), host


def straight(network: LdmSrNet, pixels: Pixels) -> np.ndarray:
    """The authors' notebook and sampler, one step after the other: DDIM, eta 1, larger pictures in patch mode."""
    low_res = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255 * 2 - 1
    noise = SeededNoise(SEED)
    kept = np.cumprod(1 - np.linspace(0.0015**0.5, 0.0155**0.5, 1000, dtype=np.float64) ** 2)
    timesteps = np.arange(0, 1000, 1000 // STEPS) + 1
    before = np.append(kept[0], kept[timesteps[:-1]])
    x = torch.from_numpy(noise.draw(0, low_res.shape))
    unet, autoencoder = network.unet, network.first_stage_model
    for draw, (timestep, last) in enumerate(zip(timesteps[::-1], before[::-1], strict=True), 1):
        now, both = kept[timestep], torch.cat((x, low_res), 1)
        predicted = in_patches(lambda part, t=timestep: unet(part, torch.tensor([t])), both)
        clean = (x - (1 - now) ** 0.5 * predicted) / now**0.5
        sigma = ((1 - last) / (1 - now) * (1 - now / last)) ** 0.5
        fresh = torch.from_numpy(noise.draw(draw, x.shape))
        x = last**0.5 * clean + (1 - last - sigma**2) ** 0.5 * predicted + sigma * fresh
    picture = in_patches(lambda part: autoencoder.decode(autoencoder.quantize(part)), x, factor=4)
    return ((picture + 1) / 2).clamp(0, 1)[0].permute(1, 2, 0).numpy()


def in_patches(network, x: torch.Tensor, factor: int = 1) -> torch.Tensor:
    """What `get_fold_unfold` of the published code makes of windows, half a window apart."""
    if max(x.shape[2:]) <= WINDOW:
        return network(x)
    side = WINDOW * factor
    place = torch.stack(torch.meshgrid(*2 * [torch.arange(side) / (side - 1)], indexing="ij"))
    weight = torch.minimum(place, 1 - place).amin(0).clip(0.01, 0.5)
    windows = F.unfold(x, WINDOW, stride=WINDOW // 2).unflatten(1, (-1, WINDOW, WINDOW))
    answers = torch.stack([network(each) * weight for each in windows.unbind(-1)], -1)
    fold = partial(F.fold, output_size=[factor * each for each in x.shape[2:]], kernel_size=side, stride=side // 2)
    return fold(answers.flatten(1, 3)) / fold(
        weight.expand(1, side, side).flatten()[None, :, None].expand(1, -1, windows.shape[-1])
    )


@pytest.mark.parametrize(("size", "windows"), [((32, 32), 1), ((64, 48), 6)], ids=["one piece", "patch mode"])
def test_the_loop_gives_the_picture_of_the_published_recipe(
    size: tuple[int, int], windows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "WINDOW", WINDOW)
    network, pixels = small.ldm_sr(), photograph(*size)
    drawn, host = looped(served(network), pixels)
    with torch.no_grad():
        expected = straight(network, pixels)
    assert drawn.shape == (4 * size[1], 4 * size[0], 3) and expected.std() > 0.01
    np.testing.assert_allclose(drawn, 255 * expected, atol=0.5 + 255e-3)
    steps, totals = zip(*host.reported, strict=True)
    assert steps[0] == 0 and steps[-1] == windows * (STEPS + 1) and set(totals) == {windows * (STEPS + 1)}
    assert sum(count for model, count in host.batches if model == "unet") == windows * STEPS
    assert max(count for _, count in host.batches) == min(windows, loop.BATCH)


def seam(picture: Pixels, borders: list[int]) -> float:
    """Grey levels by which a picture [H, W, 3] steps at columns where windows begin or end, and not beside them."""
    steps = np.diff(picture.mean(axis=(0, 2)))
    beside = [np.r_[steps[border - 9 : border - 2], steps[border + 1 : border + 8]].mean() for border in borders]
    return float(np.abs(steps[[border - 1 for border in borders]] - beside).max())


class Levelling(nn.Module):
    """A UNet that finds the picture, but for its mean in the window: windows disagree, as the norms of others do."""

    def forward(self, latent: torch.Tensor, timestep: torch.Tensor, low_res: torch.Tensor) -> torch.Tensor:
        kept = signal_power(Schedule(0.0015, 0.0155))[int(timestep)]
        clean = low_res - low_res.mean((2, 3), keepdim=True)
        return (latent - kept**0.5 * clean) / (1 - kept) ** 0.5


class Enlarging(nn.Module):
    """A decoder that interpolates."""

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        return F.interpolate(latent, scale_factor=4, mode="bilinear") / 2 + 0.5


def test_no_seams_show_where_windows_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows that are drawn apart from one another have them, which the same measure sees."""
    monkeypatch.setattr(loop, "WINDOW", WINDOW)
    grey = np.linspace(60, 195, 96)[None, :, None]
    pixels = np.broadcast_to(grey, (32, 96, 3)).astype(np.uint8)
    networks = {"unet": Levelling(), "decoder": Enlarging()}
    blended = looped(networks, pixels)[0]
    apart = np.concatenate([looped(networks, part)[0] for part in np.split(pixels, 3, axis=1)], axis=1)
    between = seam(apart, [128, 256])
    assert between > 30 and seam(blended, [64, 128, 192, 256, 320]) < between / 20


@pytest.mark.full
def test_a_published_file_becomes_the_served_networks(tmp_path: Path) -> None:
    weights = published(small.ldm_sr(), small.ldm_sr(seed=1))
    path = tmp_path / "model.safetensors"
    small.save_weights(weights, small.LDM_SR, path)
    finished = export("--checkpoint", path, "--model-repository", tmp_path / "models")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    names = ("ldm_sr_unet", "ldm_sr_decoder")
    assert f"now served: {', '.join(names)}" in finished.stdout
    assert all((tmp_path / "models" / name / "1" / "model.onnx").is_file() for name in names)
