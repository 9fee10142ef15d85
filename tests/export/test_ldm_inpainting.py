"""Latent diffusion's inpainting model: its published file, and its loop beside the published recipe."""

import asyncio
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from concord.limits import Limits
from concord.loops.ldm_inpainting import LdmInpainting
from concord.loops.request import LoopRequest
from concord.noise import SeededNoise
from export import checkpoint
from export.__main__ import main
from export.checkpoint import CheckpointError
from export.networks import ldm_inpainting
from export.networks.ldm_inpainting import SOURCE, LdmInpaintingNet, ServedEncoder
from export.networks.ldm_unet import AttentionBlock, ServedLdmUnet
from export.networks.vq_autoencoder import Codebook, ServedVqDecoder, VqConfig
from export.pipelines import diffharmony
from export.pipelines import ldm_inpainting as pipeline
from tests.commands import run
from tests.export import small
from tests.export.latent import TorchHost, published
from tests.serving.pictures import middle, photograph

STEPS, SEED = 50, 7
ROLES = ("encoder", "unet", "decoder")
export = partial(run, main, "ldm_inpainting")


def test_the_averaged_weights_take_the_place_of_the_last() -> None:
    last, averaged = small.ldm_inpainting(), small.ldm_inpainting(seed=1)
    found = SOURCE.own(published(last, averaged))
    assert found.keys() == last.state_dict().keys()
    for key, value in found.items():
        assert torch.equal(value, (averaged if key.startswith("model.") else last).state_dict()[key])
    plain = SOURCE.own(published(last, None))
    assert all(torch.equal(plain[key], value) for key, value in last.state_dict().items())


def test_an_average_that_is_missing_is_named() -> None:
    weights = published(small.ldm_inpainting(), small.ldm_inpainting(seed=1))
    del weights["model_ema.diffusion_modelout2weight"]
    with pytest.raises(CheckpointError, match=r"missing: model_ema\.diffusion_modelout2weight, and 0 others"):
        SOURCE.own(weights)


def test_its_checkpoints_are_told_from_stable_diffusion_s(tmp_path: Path) -> None:
    with torch.device("meta"):
        keys = ldm_inpainting.PUBLISHED["ldm_inpainting_big"]().state_dict()
    assert pipeline.claims(keys) and not pipeline.claims({key for key in keys if "quantize" not in key})
    torch.save(small.diffir().state_dict(), tmp_path / "diffir.pth")
    refused = export("--checkpoint", tmp_path / "diffir.pth", "--model-repository", tmp_path / "models")
    assert refused.returncode == 1
    assert "not a checkpoint of ldm_inpainting, but of diffir: python -m export diffir takes it" in refused.stderr
    assert diffharmony.claims(keys)  # which is why this one is asked first


def test_attention_in_diffusers_form_is_the_same() -> None:
    torch.manual_seed(0)
    block, x = AttentionBlock(64, 8).eval(), torch.randn(2, 64, 6, 4)
    with torch.no_grad():
        torch.testing.assert_close(block.ordinary()(x), block(x), atol=1e-5, rtol=0)


@pytest.mark.parametrize("codes", [1500, 3])
def test_a_latent_becomes_its_nearest_codes_whatever_the_pieces_are(codes: int) -> None:
    torch.manual_seed(0)
    codebook, latent = Codebook(VqConfig(codes=codes)), torch.randn(2, 3, 6, 4)
    tokens = latent.permute(0, 2, 3, 1)
    nearest = ((tokens[..., None, :] - codebook.embedding.weight) ** 2).sum(-1).argmin(-1)
    with torch.no_grad():
        torch.testing.assert_close(codebook(latent), codebook.embedding(nearest).permute(0, 3, 1, 2))


def straight(network: LdmInpaintingNet, picture: np.ndarray, hole: np.ndarray, noise: np.ndarray) -> torch.Tensor:
    """The authors' script and sampler, written down one step after the other: DDIM, eta 0."""
    image = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
    mask = torch.from_numpy(hole)[None, None].float()
    masked, mask = ((1 - mask) * image) * 2 - 1, mask * 2 - 1
    encoded = network.first_stage_model.encode(masked)
    condition = torch.cat((encoded, F.interpolate(mask, size=encoded.shape[-2:])), 1)
    betas = np.linspace(0.0015**0.5, 0.0205**0.5, 1000, dtype=np.float64) ** 2
    kept = np.cumprod(1 - betas)
    timesteps = np.arange(0, 1000, 1000 // STEPS) + 1
    before = np.append(kept[0], kept[timesteps[:-1]])
    x = torch.from_numpy(noise)
    for timestep, last in zip(timesteps[::-1], before[::-1], strict=True):
        predicted = network.unet(torch.cat((x, condition), 1), torch.tensor([timestep]))
        clean = (x - (1 - kept[timestep]) ** 0.5 * predicted) / kept[timestep] ** 0.5
        x = last**0.5 * clean + (1 - last) ** 0.5 * predicted
    return network.first_stage_model.decode(network.first_stage_model.quantize(x)) / 2 + 0.5


def test_the_loop_gives_the_picture_of_the_published_recipe() -> None:
    network, picture, hole = small.ldm_inpainting(), photograph(64, 64), middle(64, 64) // 255
    models = {role: role for role in ROLES}
    request = LoopRequest({}, {"SEED": SEED, "STEPS": STEPS, "RESOLUTION": 512}, models, 600)
    host = TorchHost(
        {
            "encoder": ServedEncoder(network),
            "unet": ServedLdmUnet(network.unet),
            "decoder": ServedVqDecoder(network.first_stage_model),
        }
    )
    drawn = asyncio.run(LdmInpainting(request, host, Limits()).draw(picture, hole))
    with torch.no_grad():
        expected = straight(network, picture, hole, SeededNoise(SEED).draw(0, (1, 3, 16, 16)))
    np.testing.assert_allclose(drawn, expected[0].numpy(), atol=1e-3)
    assert host.reported == [(step, STEPS) for step in range(STEPS + 1)]


@pytest.mark.full
def test_a_published_file_becomes_the_served_networks(tmp_path: Path) -> None:
    last, averaged = small.ldm_inpainting(), small.ldm_inpainting(seed=1)
    weights = published(last, averaged)
    path = tmp_path / "last.safetensors"
    small.save_weights(weights, small.LDM_INPAINTING, path)
    finished = export("--checkpoint", path, "--model-repository", tmp_path / "models")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    names = [f"ldm_inpainting_{part}" for part in ROLES]
    assert f"now served: {', '.join(names)}" in finished.stdout
    assert all((tmp_path / "models" / name / "1" / "model.onnx").is_file() for name in names)
    assert checkpoint.read(path).config
