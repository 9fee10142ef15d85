"""Latent diffusion's inpainting model: its published file, and its loop beside the published recipe."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from concord.limits import Limits
from concord.loops.host import Sample
from concord.loops.ldm_inpainting import LdmInpainting
from concord.loops.request import LoopRequest
from concord.noise import SeededNoise
from export import checkpoint
from export.__main__ import main
from export.checkpoint import CheckpointError
from export.networks import ldm_inpainting
from export.networks.ldm_inpainting import SOURCE, LdmInpaintingNet, ServedDecoder, ServedEncoder, ServedUnet
from export.networks.ldm_unet import AttentionBlock
from export.networks.vq_autoencoder import Codebook, VqConfig
from export.pipelines import diffharmony
from export.pipelines import ldm_inpainting as pipeline
from tests.commands import run
from tests.export import small
from tests.serving.pictures import middle, photograph

STEPS, SEED = 50, 7
ROLES = ("encoder", "unet", "decoder")
export = partial(run, main, "ldm_inpainting")


def published(network: LdmInpaintingNet, averaged: LdmInpaintingNet | None) -> dict[str, torch.Tensor]:
    """The weights as they lie in the authors' file."""
    weights = dict(network.state_dict())
    also = {
        key.replace("first_stage_model", "cond_stage_model"): value for key, value in weights.items() if "first" in key
    }
    schedule = {"betas": torch.ones(1000), "alphas_cumprod": torch.ones(1000), "model_ema.decay": torch.tensor(0.9999)}
    averages = {
        "model_ema." + key.removeprefix("model.").replace(".", ""): value
        for key, value in (averaged.state_dict().items() if averaged else ())
        if key.startswith("model.")
    }
    return weights | also | (schedule if averaged else {}) | averages


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


class TorchHost:
    """Asks the networks in torch."""

    def __init__(self, network: LdmInpaintingNet) -> None:
        self.networks = {
            "encoder": ServedEncoder(network),
            "unet": ServedUnet(network),
            "decoder": ServedDecoder(network),
        }
        self.reported: list[int] = []

    async def ask_together(self, model: str, samples: Sequence[Sample], outputs: Sequence[str]) -> list[Sample]:
        with torch.no_grad():
            answers = [
                self.networks[model](*(torch.from_numpy(np.asarray(value))[None] for value in sample.values()))
                for sample in samples
            ]
        return [{outputs[0]: answer[0].numpy()} for answer in answers]

    async def compute(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments)

    @contextmanager
    def stepping(self, _model: str) -> Iterator[None]:
        yield

    async def report(self, step: int, _total: int, _preview: bytes) -> None:
        self.reported.append(step)


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
    host = TorchHost(network)
    drawn = asyncio.run(LdmInpainting(request, host, Limits()).draw(picture, hole))
    with torch.no_grad():
        expected = straight(network, picture, hole, SeededNoise(SEED).draw(0, (1, 3, 16, 16)))
    np.testing.assert_allclose(drawn, expected[0].numpy(), atol=1e-3)
    assert host.reported == list(range(STEPS + 1))


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
