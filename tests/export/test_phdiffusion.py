"""PHDiffusion from its own checkpoint and Stable Diffusion's, in both layouts; what does not fit is named."""

import json
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

from export import checkpoint, compvis
from export.__main__ import main
from export.calibration import scenes
from export.checkpoint import CheckpointError
from export.networks import phdiffusion_unet
from export.networks.compvis_unet import CompVisUnetConfig
from export.networks.phdiffusion_adapter import WIDTHS
from export.networks.phdiffusion_unet import PaintingUnet, ServedPaintingUnet
from export.onnx_file import session
from export.pipelines import phdiffusion
from export.runtime_form import Form, fold_text, rewrite
from export.winograd import Phases, Winograd
from tests.commands import run as run_command
from tests.export import small, small_diffusion, small_painting
from tests.export.small import save_sized
from tests.export.test_diffusion import noise, path_of

export = partial(run_command, main, "phdiffusion", "--convolution", "direct")
FEATURES = [f"FEATURE_{level}" for level in range(4)]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`own/PHDiffusionWithRes.pth`, `sd/` of diffusers and `sd.ckpt` of CompVis."""
    folder = tmp_path_factory.mktemp("saved")
    small_painting.save_own(folder / "PHDiffusionWithRes.pth")
    small_painting.save_folder(folder / "sd")
    small_painting.save_file(folder / "sd.ckpt")
    return folder


@pytest.fixture(scope="module")
def repository(saved: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository into which it was exported from the one file."""
    models = tmp_path_factory.mktemp("painting") / "models"
    own, whole = ("--checkpoint", saved / "PHDiffusionWithRes.pth"), ("--stable-diffusion", saved / "sd.ckpt")
    finished = export(*own, *whole, "--configs", saved / "sd", "--model-repository", models)
    assert finished.returncode == 0, finished.stderr
    names = "phdiffusion_encoder, phdiffusion_decoder, phdiffusion_preview, phdiffusion_adapter, phdiffusion_unet"
    assert f"now served: {names}\n" in finished.stdout
    return models


def features(batch: int, height: int, width: int) -> dict[str, np.ndarray]:
    shapes = ((batch, channels, height >> level, width >> level) for level, channels in enumerate(WIDTHS))
    return {name: noise(*shape) for name, shape in zip(FEATURES, shapes, strict=True)}


def asked(repository: Path, mask: float, batch: int, height: int, width: int) -> tuple[dict, np.ndarray]:
    feeds = {
        "LATENT": noise(batch, 4, height, width),
        "TIMESTEP": np.array([[701.0], [361.0], [1.0]], np.float32)[:batch],
        "LATENT_MASK": np.full((batch, 1, height, width), mask, np.float32),
        **features(batch, height, width),
    }
    return feeds, session(path_of(repository, "phdiffusion_unet")).run(None, feeds)[0]


@pytest.mark.parametrize(("batch", "height", "width"), [(1, 32, 32), (3, 16, 48)])
def test_outside_a_mask_the_features_are_added_as_diffusers_adds_those_of_an_adapter(
    repository: Path, batch: int, height: int, width: int
) -> None:
    feeds, answer = asked(repository, 0.0, batch, height, width)
    ids = torch.tensor([[49406] + [49407] * 4]).expand(batch, -1)
    told = [
        torch.from_numpy(feeds[name][:, :channels].copy())
        for name, channels in zip(FEATURES, small_painting.WIDTHS, strict=True)
    ]
    with torch.no_grad():
        states = small_diffusion.text_encoder()(ids).last_hidden_state
        latent, timestep = (torch.from_numpy(feeds[name]) for name in ("LATENT", "TIMESTEP"))
        expected = small_painting.unet()(
            latent, timestep[:, 0], states, down_intrablock_additional_residuals=told
        ).sample.numpy()
    np.testing.assert_allclose(answer, expected, atol=5e-5)


def test_inside_a_mask_what_is_around_it_counts(repository: Path) -> None:
    half, answers = np.zeros((1, 1, 32, 32), np.float32), []
    half[..., :16] = 1
    network = session(path_of(repository, "phdiffusion_unet"))
    feeds, outside = asked(repository, 0.0, 1, 32, 32)
    for change in (0.0, 1.0):
        changed = feeds["FEATURE_3"].copy()
        changed[..., 2:] += change
        answers.append(network.run(None, feeds | {"LATENT_MASK": half, "FEATURE_3": changed})[0])
    assert all(np.isfinite(each).all() and np.abs(each - outside).max() > 1e-4 for each in answers)
    assert np.abs(answers[0] - answers[1]).max() > 1e-4


@pytest.mark.parametrize("mask", [0.0, 1.0], ids=["nothing", "everything"])
def test_a_mask_of_nothing_or_everything_is_answered_with_numbers(repository: Path, mask: float) -> None:
    assert np.isfinite(asked(repository, mask, 2, 16, 16)[1]).all()


def test_the_adapter_reads_the_composite_and_its_mask_as_published(repository: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (2, 256, 128, 3), np.uint8)
    mask = np.random.default_rng(1).integers(0, 2, (2, 256, 128), np.uint8)
    answers = session(path_of(repository, "phdiffusion_adapter")).run(
        FEATURES, {"COMPOSITE": image, "COMPOSITE_MASK": mask}
    )
    planes = torch.from_numpy(image).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.no_grad():
        expected = small_painting.adapter(True)(torch.cat((planes, torch.from_numpy(mask)[:, None]), 1))
    for answer, wanted, width, served in zip(answers, expected, small_painting.WIDTHS, WIDTHS, strict=True):
        np.testing.assert_allclose(answer[:, :width], wanted.numpy(), atol=2e-5)
        assert answer.shape[1] == served and not answer[:, width:].any()


def test_the_form_for_processors_computes_the_same() -> None:
    """At widths at which convolutions are rewritten, but for those of the coarsest maps."""
    torch.manual_seed(0)
    config = CompVisUnetConfig(widths=(256,) * 4, layers=1, context=8)
    network = ServedPaintingUnet(PaintingUnet(config), torch.randn(5, 8)).eval()
    shapes = [(2, 256, 16 >> level, 32 >> level) for level in range(4)]
    inputs = torch.randn(2, 4, 16, 32), torch.tensor([[701.0], [1.0]]), torch.rand(2, 1, 16, 32).round()
    features = [torch.randn(shape) for shape in shapes]
    direct = config.coarsest()
    assert direct <= {name for name, _ in network.named_modules()}
    with torch.no_grad():
        expected = network(*inputs, *features)
        fold_text(network, network.states)
        rewrite(network, Form("plain", "winograd"), direct)
        answer = network(*inputs, *features)
    kinds = {type(module) for module in network.modules()}
    assert {Winograd, Phases} <= kinds
    torch.testing.assert_close(answer, expected, atol=2e-4, rtol=1e-4)


def test_what_the_unet_sees_in_service_are_its_calls_for_a_scene(repository: Path) -> None:
    seen = list(islice(phdiffusion_unet.seen(scenes(held_out=True), repository), 9))
    assert [each["TIMESTEP"].item() for each in seen] == [701, 601, 501, 401, 301, 201, 101, 1, 701]
    assert all(np.isfinite(value).all() for each in seen for value in each.values())
    assert all(each["LATENT"].shape == (4, 32, 32) and each["LATENT_MASK"].any() for each in seen)


def test_the_records_name_both_files_and_whether_there_is_a_residual(repository: Path) -> None:
    records = [
        json.loads((repository / f"phdiffusion_{name}/1/model.json").read_text()) for name in ("adapter", "unet")
    ]
    assert all(set(record["checkpoints"]) == {"PHDiffusionWithRes.pth", "sd.ckpt"} for record in records)
    assert records[0]["config"]["residual"] is True


def test_both_layouts_of_stable_diffusion_give_the_same_pipeline(saved: Path) -> None:
    file, folder = phdiffusion.read_file(saved / "sd.ckpt", saved / "sd"), phdiffusion.read_folder(saved / "sd", None)
    assert file.config == folder.config == small_painting.SIZES
    assert file.weights.keys() == folder.weights.keys()
    assert all(torch.equal(file.weights[key], folder.weights[key]) for key in file.weights)


def test_diffusers_own_converter_gives_its_keys_back() -> None:
    expected = small_painting.unet().state_dict()
    renamed = {compvis.UNET + compvis.compvis_key(key, 2): value for key, value in expected.items()}
    found = convert_ldm_unet_checkpoint(renamed, small_painting.UNET)
    assert found.keys() == expected.keys() and all(torch.equal(found[key], expected[key]) for key in expected)


def test_a_file_name_or_an_argument_says_whether_there_is_a_residual(tmp_path: Path) -> None:
    told = {"PHDiffusionWithRes_obj.pth": True, "phdiffusionwithoutres.pth": False}
    assert {name: phdiffusion.is_residual(tmp_path / name, None) for name in told} == told
    assert phdiffusion.is_residual(tmp_path / "PHDiffusionWithRes.pth", "without") is False
    with pytest.raises(CheckpointError, match=r"latest\.pth: its keys do not tell .*give --residual with or without"):
        phdiffusion.is_residual(tmp_path / "latest.pth", None)


def refused(folder: Path, own: Path, stable_diffusion: Path, *also: object) -> str:
    arguments = ("--checkpoint", own, "--stable-diffusion", stable_diffusion, "--residual", "with", *also)
    finished = export(*arguments, "--model-repository", folder / "models")
    assert finished.returncode == 1 and not (folder / "models").exists()
    return finished.stderr


def test_a_checkpoint_of_another_family_is_named(saved: Path, tmp_path: Path) -> None:
    own = saved / "PHDiffusionWithRes.pth"
    assert "not a checkpoint of PHDiffusion, but of Stable Diffusion" in refused(tmp_path, saved / "sd.ckpt", own)
    other = save_sized(small.cris(), small.CRIS, tmp_path / "cris.safetensors")
    assert "not a checkpoint of PHDiffusion, but of cris: python -m export cris" in refused(tmp_path, other, own)
    inpainting = small_diffusion.save_pipeline(tmp_path / "inpainting")
    assert "9 input channels: that of inpainting Stable Diffusion" in refused(tmp_path, own, inpainting)
    assert "PHDiffusionWithRes.pth: not a single-file Stable Diffusion checkpoint" in refused(tmp_path, own, own)
    second = small_painting.save_folder(tmp_path / "second", use_linear_projection=True)
    assert "has use_linear_projection True; Stable Diffusion 1 has False" in refused(tmp_path, own, second)
    finished = run_command(main, "ht", "--checkpoint", own, "--model-repository", tmp_path / "models")
    assert finished.returncode == 1 and "but of phdiffusion: python -m export phdiffusion takes it" in finished.stderr


def test_the_width_of_the_text_names_the_generation() -> None:
    weights = {compvis.FIRST: torch.zeros(320, 4, 3, 3), compvis.CONTEXT: torch.zeros(320, 1024)}
    with pytest.raises(CheckpointError, match=r"1024 wide: that of Stable Diffusion 2\."):
        compvis.unet_weights(weights, compvis.published_sizes(None))


def test_a_fusion_of_another_size_or_with_a_key_too_many_is_listed(saved: Path, tmp_path: Path) -> None:
    own = torch.load(saved / "PHDiffusionWithRes.pth", weights_only=True)
    own["interact"]["0.fc.weight"] = torch.zeros(3, 3, 1)
    own["interact"]["0.fc.gain"] = torch.zeros(3)
    torch.save(own, tmp_path / "own.pth")
    message = refused(tmp_path, tmp_path / "own.pth", saved / "sd")
    assert "left over: 0.fc.gain" in message and "of another shape: 0.fc.weight (3, 3, 1) instead of" in message


def test_a_class_of_a_trainer_is_read_without_it_and_another_class_is_refused(saved: Path, tmp_path: Path) -> None:
    assert compvis.FIRST in checkpoint.read(saved / "sd.ckpt").weights
    torch.save({"state_dict": {"a": torch.zeros(1)}, "by": Path("x")}, tmp_path / "odd.ckpt")
    with pytest.raises(CheckpointError, match="holding more than tensors and plain values"):
        checkpoint.read(tmp_path / "odd.ckpt")
