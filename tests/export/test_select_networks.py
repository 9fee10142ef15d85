"""MobileSAM and IS-Net become served models: one file of both halves, and answers that nothing absent changes."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from concord.clicks import Clicks
from concord.prompts import ABSENT, PADDING, POINTS, SQUARE, fitted, full_mask, prompts
from export.__main__ import main
from export.checkpoint import CheckpointError
from export.convert import convert
from export.networks import cris, isnet, mobile_sam_decoder, mobile_sam_encoder
from export.networks.mobile_sam_decoder import ServedMobileSamDecoder
from export.networks.mobile_sam_encoder import ServedMobileSamEncoder
from export.onnx_file import session
from tests.commands import run
from tests.export import small

export = partial(run, main, "sam")
HALVES = (mobile_sam_encoder.NETWORK, mobile_sam_decoder.NETWORK)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.save_sized(
        small.mobile_sam(), small.MOBILE_SAM, tmp_path_factory.mktemp("sam") / "mobile_sam.safetensors"
    )


@pytest.mark.full
def test_one_file_gives_both_halves(checkpoint: Path, tmp_path: Path) -> None:
    finished = export("--checkpoint", checkpoint, "--model-repository", tmp_path)
    assert finished.returncode == 0, finished.stderr
    assert "now served: mobile_sam_encoder, mobile_sam_decoder" in finished.stdout
    network = small.mobile_sam()
    served = (ServedMobileSamEncoder(network), ServedMobileSamDecoder(network))
    for model, half in zip(HALVES, served, strict=True):
        inputs = next(model.samples())
        with torch.no_grad():
            expected = half(*inputs)
        answer = session(tmp_path / model.name / "1" / "model.onnx").run(None, model.feeds(inputs))
        for found, wanted in zip(answer, expected if isinstance(expected, tuple) else (expected,), strict=True):
            np.testing.assert_allclose(found, wanted.numpy(), atol=2e-4)
        record = json.loads((tmp_path / model.name / "1" / "model.json").read_text())
        assert (record["network"], record["checkpoint"]) == ("MobileSam", "mobile_sam.safetensors")


def test_what_is_no_checkpoint_of_it_is_sent_to_the_command_that_takes_it(tmp_path: Path, checkpoint: Path) -> None:
    other = small.save_sized(small.cris(), small.CRIS, tmp_path / "cris.safetensors")
    refused = export("--checkpoint", other, "--model-repository", tmp_path / "models")
    assert (
        refused.returncode == 1
        and "not a checkpoint of MobileSAM, but of cris: python -m export cris" in refused.stderr
    )
    with pytest.raises(CheckpointError, match="not a checkpoint of cris, but of sam: python -m export sam takes it"):
        convert(cris.NETWORK, checkpoint, tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_a_missing_key_is_listed_and_nothing_replaced(checkpoint: Path, tmp_path: Path) -> None:
    weights = load_file(checkpoint)
    del weights["mask_decoder.mask_tokens.weight"]
    save_file(weights, tmp_path / "less.safetensors", {"config": json.dumps(vars(small.MOBILE_SAM))})
    refused = export("--checkpoint", tmp_path / "less.safetensors", "--model-repository", tmp_path / "models")
    assert refused.returncode == 1 and "missing: mask_decoder.mask_tokens.weight" in refused.stderr
    assert not (tmp_path / "models").exists()


def test_absent_points_have_no_effect() -> None:
    decoder, embedding = ServedMobileSamDecoder(small.mobile_sam()), torch.randn(1, 256, SQUARE // 16, SQUARE // 16)
    points, labels = prompts(Clicks(belonging=((300.0, 200.0),), others=((9.0, 700.0),)), 768, SQUARE)
    elsewhere = np.where((labels == ABSENT)[:, None], np.float32(500), points)
    given = 1 + int((labels != ABSENT).nonzero()[0].max())
    with torch.no_grad():
        full, moved, alone = (
            decoder(embedding, torch.from_numpy(each)[None], torch.from_numpy(marks)[None])
            for each, marks in ((points, labels), (elsewhere, labels), (points[:given], labels[:given]))
        )
    for answer in (moved, alone):
        for one, other in zip(full, answer, strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


def test_what_is_outside_the_picture_has_no_effect_on_its_embedding() -> None:
    encoder, square = ServedMobileSamEncoder(small.mobile_sam()), torch.zeros(1, SQUARE, SQUARE, 3, dtype=torch.uint8)
    square[:, :600] = torch.randint(0, 256, (600, SQUARE, 3))
    other, size = square.clone(), torch.tensor([[600, SQUARE]], dtype=torch.int32)
    other[:, 600:] = 255
    with torch.no_grad():
        torch.testing.assert_close(encoder(square, size), encoder(other, size))


@pytest.mark.parametrize(("height", "width"), [(600, 900), (900, 600), (2000, 3000), (1, 5000)])
def test_a_picture_lies_in_the_corner_of_the_square_and_its_points_with_it(height: int, width: int) -> None:
    pixels = np.full((height, width, 3), 200, np.uint8)
    square, size = fitted(pixels)
    assert max(size) == SQUARE and abs(size[0] / size[1] - height / width) < 2 / SQUARE
    assert (square[: size[0], : size[1]] == 200).all() and square.sum() == 600 * int(size[0]) * int(size[1])
    points, labels = prompts(Clicks(belonging=((width, height),), box=(0, 0, width, height)), height, width)
    np.testing.assert_allclose(points[:3] + 0.5, [(size[1], size[0]), (0, 0), (size[1], size[0])], atol=1e-3)
    assert list(labels[:4]) == [1, 2, 3, ABSENT] and len(labels) == POINTS
    assert list(prompts(Clicks(belonging=((1, 1),)), height, width)[1][:3]) == [1, PADDING, ABSENT]


@pytest.mark.parametrize(("height", "width"), [(300, 500), (1500, 2500)])
def test_logits_become_a_mask_of_the_pictures_size(height: int, width: int) -> None:
    y, x = np.mgrid[:height, :width] + 0.5
    disc = np.hypot(x - width / 3, y - height / 2) < height / 4
    pixels = np.where(disc[..., None], np.uint8((200, 40, 30)), np.uint8((30, 120, 60)))
    line = (np.arange(256) + 0.5) * max(height, width) / 256
    logits = height / 4 - np.hypot(line - width / 3, line[:, None] - height / 2)
    mask = full_mask(logits.astype(np.float32), pixels)
    assert mask.dtype == np.uint8 and set(np.unique(mask)) == {0, 255}
    assert np.count_nonzero((mask > 0) != disc) < 0.004 * disc.sum()


@pytest.mark.parametrize("network", [*HALVES, isnet.NETWORK], ids=lambda network: network.name)
def test_samples_are_of_the_declared_tensors(network) -> None:
    for batch, sample in enumerate(network.samples(), 1):
        for tensor, value in zip(network.inputs, sample, strict=True):
            assert tuple(value.shape) == (batch, *tensor.dims)
            assert {"FP32": torch.float32, "INT32": torch.int32, "UINT8": torch.uint8}[tensor.kind] == value.dtype


@pytest.mark.full
def test_an_isnet_checkpoint_in_the_published_layout_becomes_the_served_model(tmp_path: Path) -> None:
    path = small.save_sized(small.is_net(), small.IS_NET, tmp_path / "isnet.safetensors")
    convert(isnet.NETWORK, path, tmp_path)
    inputs = next(isnet.NETWORK.samples())
    with torch.no_grad():
        image = inputs[0].permute(0, 3, 1, 2) / 255 - 0.5
        expected = small.is_net()(image)[0][:, 0].numpy()
    [answer] = session(tmp_path / "isnet" / "1" / "model.onnx").run(None, isnet.NETWORK.feeds(inputs))
    np.testing.assert_allclose(answer, expected, atol=1e-5)
