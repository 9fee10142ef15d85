"""MobileSAM, SAM 2 and IS-Net become served models: one file of both halves; nothing absent changes an answer."""

import json
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from concord.clicks import Clicks
from concord.prompts import ABSENT, ALL_OVER, IN_CORNER, PADDING, POINTS, SQUARE, Fit, fitted, full_mask, prompts, sure
from export.__main__ import main
from export.checkpoint import CheckpointError
from export.convert import convert
from export.networks import cris, isnet, sam2
from export.networks.mobile_sam_decoder import ServedMobileSamDecoder
from export.networks.mobile_sam_encoder import ServedMobileSamEncoder
from export.networks.sam2_decoder import ServedSam2Decoder
from export.networks.sam2_encoder import ServedSam2Encoder
from export.networks.segment_anything import MEAN, STD
from export.onnx_file import session
from export.pipelines.sam import FAMILIES
from tests.commands import run
from tests.export import small

export = partial(run, main, "sam")
MOBILE_SAM, SAM2 = FAMILIES
HALVES = [half for family in FAMILIES for half, _ in family.halves]
NETWORKS = {"MobileSam": (small.mobile_sam, small.MOBILE_SAM), "Sam2": (small.sam2, small.SAM2)}
KEYS = Path(__file__).parents[1] / "published" / "keys" / "sam2_hiera_tiny.txt"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.save_sized(
        small.mobile_sam(), small.MOBILE_SAM, tmp_path_factory.mktemp("sam") / "mobile_sam.safetensors"
    )


@pytest.fixture(scope="module")
def published() -> dict[str, torch.Tensor]:
    """The keys and shapes of `sam2.1_hiera_tiny.pt`, with one value a key."""
    lines = [line.split(" ", 1) for line in KEYS.read_text().splitlines() if not line.startswith("#")]
    shapes = {key: tuple(map(int, re.findall(r"\d+", rest))) for key, rest in lines}
    return {key: torch.rand(()).expand(shape) for key, shape in shapes.items()}


def sam2_file(weights: dict[str, torch.Tensor], folder: Path) -> Path:
    torch.save({"model": weights}, folder / "sam2.1_hiera_tiny.pt")
    return folder / "sam2.1_hiera_tiny.pt"


@pytest.mark.full
@pytest.mark.parametrize("family", FAMILIES, ids=NETWORKS)
def test_one_file_gives_both_halves(family, tmp_path: Path) -> None:
    name, (make, config) = dict(zip(FAMILIES, NETWORKS.items(), strict=True))[family]
    finished = export(
        "--checkpoint", small.save_sized(make(), config, tmp_path / "sam.safetensors"), "--model-repository", tmp_path
    )
    assert finished.returncode == 0, finished.stderr
    assert f"now served: {', '.join(half.name for half, _ in family.halves)}" in finished.stdout
    for model, served in family.halves:
        inputs = next(model.samples())
        with torch.no_grad():
            expected = served(make())(*inputs)
        answer = session(tmp_path / model.name / "1" / "model.onnx").run(None, model.feeds(inputs))
        for found, wanted in zip(answer, expected if isinstance(expected, tuple) else (expected,), strict=True):
            np.testing.assert_allclose(found, wanted.numpy(), atol=2e-4)
        record = json.loads((tmp_path / model.name / "1" / "model.json").read_text())
        assert (record["network"], record["checkpoint"]) == (name, "sam.safetensors")


def test_a_checkpoint_of_sam2_in_the_published_layout_is_read_and_what_is_of_videos_left_out(
    tmp_path: Path, published
) -> None:
    source = SAM2.source
    found = source.read(sam2_file(published, tmp_path))
    assert source.claims(found.weights) and not MOBILE_SAM.source.claims(found.weights)
    loaded = source.load(found)
    of_videos = [line.split(" ")[0] for line in KEYS.read_text().splitlines() if line.endswith(" v")]
    assert loaded.record["left_out"] == of_videos
    assert (loaded.record["network"], loaded.record["config"]["stem_width"]) == ("Sam2", 96)
    state = loaded.network.state_dict()
    assert {*state, *of_videos} == published.keys() and not {*state} & {*of_videos}
    assert all(torch.equal(value, published[key]) for key, value in state.items())


@pytest.mark.parametrize(
    ("without", "also", "words"),
    [
        ("no_mem_embed", "no_mem_embedding", ("missing: no_mem_embed", "left over: no_mem_embedding")),
        ("nothing", "image_encoder.trunk.blocks.12.norm1.weight", ("has 13 blocks from 96", "12 from 96 channels on")),
    ],
    ids=["a key", "another size"],
)
def test_a_checkpoint_of_sam2_that_does_not_fit_is_refused(tmp_path: Path, published, without, also, words) -> None:
    weights = {key: value for key, value in published.items() if key != without} | {also: torch.zeros(3)}
    refused = export("--checkpoint", sam2_file(weights, tmp_path), "--model-repository", tmp_path / "models")
    assert refused.returncode == 1 and all(word in refused.stderr for word in words)
    assert not (tmp_path / "models").exists()


def test_what_is_no_checkpoint_of_it_is_sent_to_the_command_that_takes_it(tmp_path: Path, checkpoint: Path) -> None:
    other = small.save_sized(small.cris(), small.CRIS, tmp_path / "cris.safetensors")
    refused = export("--checkpoint", other, "--model-repository", tmp_path / "models")
    assert (
        refused.returncode == 1
        and "not a checkpoint of MobileSAM or SAM 2, but of cris: python -m export cris" in refused.stderr
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


@pytest.mark.parametrize("decoder", [ServedMobileSamDecoder, ServedSam2Decoder])
def test_absent_points_have_no_effect(decoder) -> None:
    network = small.mobile_sam() if decoder is ServedMobileSamDecoder else small.sam2()
    shapes = [(256, 64)] if decoder is ServedMobileSamDecoder else [(256, 64), (64, 128), (32, 256)]
    embedding = [torch.randn(1, channels, side, side) for channels, side in shapes]
    points, labels = prompts(Clicks(belonging=((300.0, 200.0),), others=((9.0, 700.0),)), IN_CORNER, 768, SQUARE)
    elsewhere = np.where((labels == ABSENT)[:, None], np.float32(500), points)
    given = 1 + int((labels != ABSENT).nonzero()[0].max())
    with torch.no_grad():
        full, moved, alone = (
            decoder(network)(*embedding, torch.from_numpy(each)[None], torch.from_numpy(marks)[None])
            for each, marks in ((points, labels), (elsewhere, labels), (points[:given], labels[:given]))
        )
    for answer in (moved, alone):
        for one, other in zip(full, answer, strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


def test_sam2_has_a_point_of_padding_behind_every_prompt() -> None:
    network = small.sam2()
    embedding = [torch.randn(1, *tensor.dims) for tensor in sam2.EMBEDDING]
    points, labels = torch.rand(1, 3, 2) * SQUARE, torch.tensor([[2, 3, PADDING]])
    with torch.no_grad():
        for given in (2, 3):
            found = network.decode(*embedding, points[:, :given], labels[:, :given])
            expected = network.decode(*embedding, points[:, :2], labels[:, :2])
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_the_served_encoder_of_sam2_is_the_published_one_behind_its_normalisation() -> None:
    network, square = small.sam2(), torch.randint(0, 256, (1, SQUARE, SQUARE, 3), dtype=torch.uint8)
    image = ((square - torch.tensor(MEAN)) / torch.tensor(STD)).permute(0, 3, 1, 2)
    with torch.no_grad():
        torch.testing.assert_close(ServedSam2Encoder(network)(square), network.encode(image))


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
    square, size = fitted(pixels, IN_CORNER)
    assert max(size) == SQUARE and abs(size[0] / size[1] - height / width) < 2 / SQUARE
    assert (square[: size[0], : size[1]] == 200).all() and square.sum() == 600 * int(size[0]) * int(size[1])
    points, labels = prompts(Clicks(belonging=((width, height),), box=(0, 0, width, height)), IN_CORNER, height, width)
    np.testing.assert_allclose(points[:3] + 0.5, [(size[1], size[0]), (0, 0), (size[1], size[0])], atol=1e-3)
    assert list(labels[:4]) == [1, 2, 3, ABSENT] and len(labels) == POINTS
    assert list(prompts(Clicks(belonging=((1, 1),)), IN_CORNER, height, width)[1][:3]) == [1, PADDING, ABSENT]


def test_a_picture_of_sam2_fills_the_square_and_its_points_with_it() -> None:
    square, size = fitted(np.full((300, 900, 3), 200, np.uint8), ALL_OVER)
    assert (square == 200).all() and tuple(size) == (SQUARE, SQUARE)
    points, _ = prompts(Clicks(belonging=((900, 300), (450, 75))), ALL_OVER, 300, 900)
    np.testing.assert_allclose(points[:2] + 0.5, [(SQUARE, SQUARE), (SQUARE / 2, SQUARE / 4)])


def test_a_mask_that_is_not_stable_gives_way_to_the_best_of_the_others() -> None:
    logits = np.full((4, 10, 10), -1, np.float32)
    logits[0, :7] = 1
    scores = np.array([0.9, 0.5, 0.8, 0.7], np.float32)
    assert sure(logits, scores) == 0
    logits[0, 7, 0] = 0.01  # one of 71 hangs on so little
    assert sure(logits, scores) == 0
    logits[0, 7, 1] = -0.01
    assert sure(logits, scores) == 2
    assert sure(np.full((4, 10, 10), -1, np.float32), scores) == 0  # an empty one is


@pytest.mark.parametrize("fit", [IN_CORNER, ALL_OVER], ids=["in the corner", "all over"])
@pytest.mark.parametrize(("height", "width"), [(300, 500), (1500, 2500)])
def test_logits_become_a_mask_of_the_pictures_size(height: int, width: int, fit: Fit) -> None:
    y, x = np.mgrid[:height, :width] + 0.5
    disc = np.hypot(x - width / 3, y - height / 2) < height / 4
    pixels = np.where(disc[..., None], np.uint8((200, 40, 30)), np.uint8((30, 120, 60)))
    line = (np.arange(256) + 0.5) * SQUARE / 256
    down, along = (size / inner for size, inner in zip((height, width), fit.size(height, width), strict=True))
    logits = height / 4 - np.hypot(line * along - width / 3, line[:, None] * down - height / 2)
    mask = full_mask(logits.astype(np.float32), pixels, fit)
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
