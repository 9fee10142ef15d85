"""Blended Diffusion: its step as a graph of both passes, and its loop beside the published recipe."""

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
from torch import Tensor

from concord.limits import Limits
from concord.loops.blended_diffusion import BlendedDiffusion
from concord.loops.editor import Scene
from concord.loops.host import Sample
from concord.loops.request import LoopRequest
from concord.noise import SeededNoise
from concord.view_warps import DRAWS, warps
from export import onnx_file
from export.__main__ import main
from export.networks import guided_unet
from export.networks.blended_guidance import NETWORK, PUBLISHED_WEIGHTS, ServedBlendedGuidance
from export.networks.view_sampling import pooling, warped
from export.pipelines import blended_diffusion as pipeline
from export.pipelines import ldm_inpainting
from tests.commands import run
from tests.export import small_blended as small
from tests.export.test_clip import published as published_clip
from tests.serving.pictures import middle, photograph

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
STEPS, MADE, SEED, VIEW = 10, 5, 7, 224
NAMES = [tensor.name for tensor in NETWORK.outputs]
NET = small.network()
TEXT = torch.randn(1, small.CLIP.embedding, generator=torch.manual_seed(5))
export = partial(run, main, "blended_diffusion")


def as_kornia(views: Tensor, draws: np.ndarray) -> Tensor:
    """`RandomAffine(15, translate=0.1, padding_mode="border")`, then `RandomPerspective(0.7)`, both with p 0.7."""
    side = views.shape[-1]
    norm = torch.tensor([[2 / (side - 1), 0, -1], [0, 2 / (side - 1), -1], [0, 0, 1]], dtype=torch.float64)
    corners = torch.tensor([[0, 0], [1, 0], [1, 1], [0, 1]], dtype=torch.float64)
    found = []
    for view, row in zip(views[:, None], torch.from_numpy(draws), strict=True):
        if row[0] < 0.7:
            angle, centre = torch.deg2rad(30 * row[1] - 15), (side - 1) / 2
            matrix = torch.eye(3, dtype=torch.float64)
            matrix[:2, :2] = torch.stack((angle.cos(), -angle.sin(), angle.sin(), angle.cos())).reshape(2, 2)
            matrix[:2, 2] = centre - matrix[:2, :2].sum(1) * centre
            matrix[1, 2] += 0.1 * side * (2 * row[2] - 1)
            theta = torch.linalg.inv(norm @ matrix @ torch.linalg.inv(norm))[:2].float()
            grid = F.affine_grid(theta[None], view.shape, align_corners=False)
            view = F.grid_sample(view, grid, padding_mode="border", align_corners=False)
        if row[3] < 0.7:
            start = corners * (side - 1)
            end = start + 0.35 * side * row[4:].reshape(4, 2) * (1 - 2 * corners)
            matrix = homography(start, end)
            line = torch.linspace(-1, 1, side, dtype=torch.float64)
            points = torch.stack((line.expand(side, side), line[:, None].expand(side, side), torch.ones(side, side)))
            x, y, depth = torch.linalg.inv(norm @ matrix @ torch.linalg.inv(norm)) @ points.flatten(1)
            grid = torch.stack((x / depth, y / depth), -1).reshape(1, side, side, 2).float()
            view = F.grid_sample(view, grid, padding_mode="zeros", align_corners=False)
        found.append(view)
    return torch.cat(found)


def homography(source: Tensor, target: Tensor) -> Tensor:
    rows = []
    for (x, y), (u, v) in zip(source.tolist(), target.tolist(), strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
    solved = torch.linalg.solve(torch.tensor(rows, dtype=torch.float64), target.flatten())
    return torch.cat((solved, torch.ones(1, dtype=torch.float64))).reshape(3, 3)


def recipe(
    x: Tensor, timestep: float, kept: float, mask: Tensor, draws: np.ndarray, text: Tensor = TEXT
) -> tuple[Tensor, ...]:
    """The authors' `cond_fn` with torch's autograd: the clean picture, the variance's share, and the gradient."""
    x = x.detach().requires_grad_()
    noise, variance = NET.unet(x, torch.tensor([timestep])).chunk(2, 1)
    clean = x * kept**-0.5 - noise * (1 / kept - 1) ** 0.5
    blend = (1 - kept) ** 0.5
    pooled = F.adaptive_avg_pool2d((clean * blend + x * (1 - blend)) * mask, VIEW)
    views = (torch.cat((pooled, as_kornia(pooled.expand(7, -1, -1, -1), draws))) + 1) / 2
    mean, std = (torch.tensor(each)[:, None, None] for each in (CLIP_MEAN, CLIP_STD))
    embeddings = F.normalize(NET.clip["visual"].embed((views - mean) / std), dim=-1)
    distance = (embeddings - F.normalize(text, dim=-1)).norm(dim=-1).div(2).arcsin().pow(2).mul(2).mean()
    loss = 1000 * distance + 50 * (clean - clean.clamp(-1, 1)).pow(2).mean()
    return clean.detach(), variance.detach(), torch.autograd.grad(loss, x)[0]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The step's graph, traced at a batch of two."""
    path = tmp_path_factory.mktemp("blended") / "model.onnx"
    names = [tensor.name for tensor in NETWORK.inputs]
    onnx_file.export(ServedBlendedGuidance(NET), sample(2), names, NAMES, path)
    return path


def sample(batch: int) -> tuple[Tensor, ...]:
    """As `NETWORK.draw`, of a smaller side."""
    noisy, timestep, kept, part, *rest = NETWORK.draw(batch, torch.Generator().manual_seed(batch))
    corner = slice(48, 48 + small.SIDE)  # in which the edge of the part is
    return noisy[..., corner, corner].contiguous(), timestep, kept, part[:, corner, corner].contiguous(), *rest


def test_pooling_is_torchs_adaptive_one() -> None:
    x = torch.randn(1, 2, 256, 256)
    for target in (224, 7, 256):
        pool = pooling(256, target)
        torch.testing.assert_close(pool @ x @ pool.T, F.adaptive_avg_pool2d(x, target), atol=1e-6, rtol=0)


def test_the_views_are_those_of_kornia() -> None:
    picture, draws = torch.rand(1, 3, VIEW, VIEW), SeededNoise(3).uniform(0, DRAWS)
    matrices = torch.from_numpy(warps(draws))[None]
    turned = warped(picture, matrices[:, :, 0], border=True)
    views = warped(turned[0], matrices[0, :, 1:], border=False)[:, 0]
    assert (matrices != torch.eye(3)).any(-1).any(-1).any(1).all()  # of both kinds there are some
    torch.testing.assert_close(views, as_kornia(picture.expand(7, -1, -1, -1), draws), atol=2e-3, rtol=0)


@pytest.mark.parametrize("batch", [1, 3])
def test_the_exported_graph_gives_autograds_gradient_at_any_batch(exported: Path, batch: int) -> None:
    given = sample(batch)
    found = onnx_file.session(exported).run(NAMES, NETWORK.feeds(given))
    for number in range(batch):
        noisy, timestep, kept, part, text, _, weights = (each[number : number + 1] for each in given)
        assert weights.tolist() == [list(PUBLISHED_WEIGHTS)]
        draws = SeededNoise(number).uniform(0, DRAWS)
        expected = recipe(noisy, timestep.item(), kept.item(), part[:, None].float(), draws, text)
        for answer, wanted in zip(found, expected, strict=True):
            scale = max(1.0, wanted.abs().max().item())
            np.testing.assert_allclose(answer[number], wanted[0].numpy(), atol=5e-4 * scale)


def test_the_exported_graph_answers_zeros_too(exported: Path) -> None:
    """With which a server warms it up: warps that lead nowhere."""
    zeros = [torch.zeros_like(each) for each in sample(1)]
    found = onnx_file.session(exported).run(NAMES, NETWORK.feeds(zeros))
    assert [answer.shape for answer in found] == [(1, 3, small.SIDE, small.SIDE)] * len(NAMES)


class TorchHost:
    """Asks the step's network in torch; every text has the same embedding."""

    def __init__(self) -> None:
        self.network = ServedBlendedGuidance(NET)
        self.reported: list[int] = []

    async def ask(self, _model: str, _inputs: Sample, _outputs: Sequence[str]) -> Sample:
        return {"TOKENS": np.zeros(77, np.int64), "TRUNCATED": np.array([False])}

    async def ask_together(self, model: str, samples: Sequence[Sample], outputs: Sequence[str]) -> list[Sample]:
        [given] = samples
        if model == "text_encoder":
            return [{"EMBEDDING": TEXT[0].numpy()}]
        inputs = [torch.from_numpy(np.asarray(given[tensor.name]))[None] for tensor in NETWORK.inputs]
        with torch.no_grad():
            answers = self.network(*inputs)
        return [{name: answer[0].numpy() for name, answer in zip(outputs, answers, strict=True)}]

    async def compute(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments)

    @contextmanager
    def stepping(self, _model: str) -> Iterator[None]:
        yield

    async def report(self, step: int, _total: int, _preview: bytes) -> None:
        self.reported.append(step)


def straight(picture: np.ndarray, part: np.ndarray, seed: int) -> Tensor:
    """The authors' script and sampler, written down one step after the other, with the clean background pasted."""
    noise, shape = SeededNoise(seed), (1, 3, small.SIDE, small.SIDE)

    def drawn(index: int) -> Tensor:
        return torch.from_numpy(noise.draw(index, shape))

    image = torch.from_numpy(picture).permute(2, 0, 1)[None] / 127.5 - 1
    mask = torch.from_numpy(part)[None, None].float()
    steps = [round(number * 999 / (STEPS - 1)) for number in range(STEPS)]
    kept = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))[steps]
    before = np.append(1.0, kept[:-1])
    betas = 1 - kept / before
    posterior = betas * (1 - before) / (1 - kept)
    posterior = np.log(np.append(posterior[1], posterior[1:]))
    x = kept[MADE - 1] ** 0.5 * image + (1 - kept[MADE - 1]) ** 0.5 * drawn(0)
    for call, t in enumerate(reversed(range(MADE))):
        draws = noise.uniform(3 * call + 1, DRAWS)
        clean, variance, gradient = recipe(x.float(), steps[t], kept[t], mask, draws)
        share = (variance + 1) / 2
        log_variance = share * np.log(betas[t]) + (1 - share) * posterior[t]
        mean = betas[t] * before[t] ** 0.5 / (1 - kept[t]) * clean
        mean = mean + (1 - before[t]) * (1 - betas[t]) ** 0.5 / (1 - kept[t]) * x - log_variance.exp() * gradient
        x = mean + (log_variance / 2).exp() * drawn(3 * call + 2) * (t > 0)
        x = x * mask + (kept[t] ** 0.5 * image + (1 - kept[t]) ** 0.5 * drawn(3 * call + 3)) * (1 - mask)
    return ((image * (1 - mask) + clean * mask + 1) / 2).clamp(0, 1)


def test_the_loop_gives_the_picture_of_the_published_recipe() -> None:
    picture, part = photograph(small.SIDE, small.SIDE), middle(small.SIDE, small.SIDE) // 255
    settings = {"SEED": SEED, "STEPS": STEPS, "SKIP": 0.5, "CANDIDATES": 2, "GUIDANCE": 1000.0, "RANGE": 50.0}
    models = {role: role for role in ("tokenizer", "text_encoder", "guidance")}
    host = TorchHost()
    loop = BlendedDiffusion(LoopRequest({}, settings | {"PREVIEW": False}, models, 600), host, Limits())

    async def drawn_after_a_text() -> Sequence[np.ndarray]:
        await loop.read(b"a boat")
        return await loop.draw(Scene(picture, part))

    candidates = asyncio.run(drawn_after_a_text())
    for number, drawn in enumerate(candidates):
        expected = straight(picture, part, SEED + number)[0].numpy()
        pasted = np.where(part > 0, np.clip(drawn, 0, 1), expected)
        np.testing.assert_allclose(pasted, expected, atol=1e-3)
    assert np.abs(candidates[0] - candidates[1])[:, part > 0].mean() > 1e-2
    assert host.reported == list(range(2 * MADE + 1)) and loop.steps == 2 * MADE


def test_guided_diffusions_checkpoints_are_told_from_others(tmp_path: Path) -> None:
    keys = set(NET.unet.state_dict())
    assert pipeline.claims(keys) and not ldm_inpainting.claims(keys)
    assert not pipeline.claims(keys | {"label_emb.weight"})  # with classes
    assert guided_unet.sizes(NET.unet.state_dict()) == small.UNET
    torch.save(published_clip().state_dict(), tmp_path / "clip.pt")
    given = ("--clip", tmp_path / "clip.pt", "--model-repository", tmp_path / "models")
    refused = export("--checkpoint", tmp_path / "clip.pt", *given)
    assert refused.returncode == 1
    assert "clip.pt: not a checkpoint of guided diffusion without classes" in refused.stderr
    refused = export("--checkpoint", small.save_diffusion(tmp_path / "small.pt", channels_out=3), *given)
    assert refused.returncode == 1 and "small.pt: the UNet reads and answers (3, 3) channels" in refused.stderr
    assert not list((tmp_path / "models").glob("*/1/model.onnx"))


@pytest.mark.full
def test_two_published_files_become_the_served_networks(tmp_path: Path) -> None:
    torch.save(published_clip().state_dict(), tmp_path / "ViT-B-16.pt")
    diffusion = small.save_diffusion(tmp_path / "256x256_diffusion_uncond.pt")
    repository = tmp_path / "models"
    finished = export("--checkpoint", diffusion, "--clip", tmp_path / "ViT-B-16.pt", "--model-repository", repository)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "now served: clip_image_encoder, clip_text_encoder, blended_guidance" in finished.stdout
    assert (repository / "blended_guidance" / "1" / "model.onnx").is_file()
