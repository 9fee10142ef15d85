"""A colour map's network: both forms are exported, told apart, built as engines, and served as they are published."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from concord.repository.profiles import INT8_FILE
from concord.server.embedded import EmbeddedServer, Ports
from concord.server.installation import MODEL_REPOSITORIES
from concord.squash import squash_image, squash_mask
from concord_client import Client
from export import calibration, quantization, tensorrt
from export.__main__ import main
from export.checkpoint import CheckpointError
from export.convert import convert
from export.networks import dht, ht
from export.networks.pctnet import NETWORK
from export.publication import record_of
from tests.commands import run
from tests.export import small
from tests.serving.pictures import decoded, encoded, middle, photograph
from tests.serving.tiny_networks import link_segmenting

NAME = NETWORK.name
FORMS = ("cnn", "vit")
MODELS, PIPELINES = MODEL_REPOSITORIES


@pytest.fixture(scope="module", params=FORMS)
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def repository(form: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network of the form, exported by the command from a checkpoint in the published layout."""
    folder = tmp_path_factory.mktemp(form)
    file = small.save_sized(small.pct_net(form), small.pct_config(form), folder / "checkpoint.safetensors")
    finished = run(main, NAME, "--checkpoint", file, "--model-repository", folder / "models")
    assert finished.returncode == 0, finished.stderr
    return folder / "models"


@pytest.fixture(scope="module")
def client(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Of a server of the network's two pipelines, and of what they are made of."""
    served = tmp_path_factory.mktemp("served")
    link_segmenting(served)
    for name in ("decode_mask", "compose_colour_map"):
        (served / name).symlink_to(MODELS / name)
    for name in (f"harmonize_{NAME}", f"segment_harmonize_{NAME}"):
        (served / name).symlink_to(PIPELINES / name)
    shutil.copytree(repository / NAME, served / NAME)
    shutil.copy(MODELS / NAME / "config.pbtxt", served / NAME)
    with EmbeddedServer([served], ports=Ports(0, 0, 0)) as server, Client(server.grpc_url) as client:
        yield client


def published(form: str, pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The picture of 0..255 that the published network makes at full size of a squashed picture and its mask."""
    network = small.pct_net(form)

    def image(pixels: np.ndarray) -> Tensor:
        return (torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None] / 255 - network.mean) / network.std

    def binary(mask: np.ndarray) -> Tensor:
        return torch.from_numpy((mask > 0).astype(np.float32))[None, None]

    inputs = (image(squash_image(pixels)), binary(squash_mask(mask)), image(pixels), binary(mask))
    with torch.no_grad():
        _, _, answer, *_ = network(*inputs)
    return (answer * network.std + network.mean)[0].permute(1, 2, 0).clamp(0, 1).numpy() * 255


def test_the_checkpoint_says_which_form_it_is(form: str, repository: Path) -> None:
    record = record_of(repository, NAME)
    assert record["config"]["form"] == form
    assert [row["batch"] for row in record["differences"]] == [1, 2, 3]


@pytest.mark.parametrize(("width", "height"), [(611, 397), (300, 1000), (120, 90)])
def test_inside_the_mask_the_answer_is_the_published_formula_at_full_size(
    form: str, client: Client, width: int, height: int
) -> None:
    pixels, mask = photograph(width, height), middle(width, height)
    answer = decoded(client.harmonize(encoded(pixels), mask=encoded(mask), model=NAME).image)
    inside = mask > 0
    assert np.array_equal(answer[~inside], pixels[~inside])
    expected = published(form, pixels, mask)[inside]
    assert np.abs(answer[inside] - expected).max() <= 0.5 + 0.02
    assert np.abs(expected - pixels[inside]).mean() > 5


def test_alpha_and_an_empty_mask_leave_what_they_should(client: Client) -> None:
    pixels, mask = photograph(300, 280, channels=4), middle(300, 280)
    answer = decoded(client.harmonize(encoded(pixels), mask=encoded(mask), model=NAME).image)
    assert np.array_equal(answer[..., 3], pixels[..., 3]) and np.array_equal(answer[mask == 0], pixels[mask == 0])
    untouched = client.harmonize(encoded(pixels), mask=encoded(np.zeros_like(mask)), model=NAME)
    assert np.array_equal(decoded(untouched.image), pixels)


def test_a_text_finds_the_mask_that_the_map_is_applied_in(form: str, client: Client) -> None:
    pixels = photograph(300, 200)
    answer = client.harmonize(encoded(pixels), text="the red ball", model=NAME)
    assert answer.mask is not None
    mask, picture = decoded(answer.mask), decoded(answer.image)
    assert np.array_equal(picture[mask == 0], pixels[mask == 0])
    difference = np.abs(picture - published(form, pixels, mask))[mask > 0]
    assert difference.max(initial=0) <= 0.5 + 0.02


def test_the_int8_form_passes_its_gate(repository: Path, tmp_path: Path) -> None:
    shutil.copytree(repository, tmp_path / "models")
    said = quantization.build(NAME, tmp_path / "models", "int8", number=calibration.LEAST)
    record = json.loads((tmp_path / "models" / NAME / "1" / f"{INT8_FILE}.json").read_text())
    assert record["snr_db"][0] > record["least_snr_db"] and said.startswith(f"{NAME}: openvino, int8")


@pytest.mark.full
@pytest.mark.parametrize("name", NETWORK.published)
def test_a_checkpoint_of_the_published_size_becomes_an_engine_in_half_precision(name: str, tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx-cu13 is not installed")
    torch.manual_seed(0)
    torch.save(NETWORK.published[name]().state_dict(), tmp_path / "PCTNet.pth")
    convert(NETWORK, tmp_path / "PCTNet.pth", tmp_path / "models")
    tensorrt.build(NAME, tmp_path / "models", "tensorrt-rtx", compute_capability="8.9", precision="fp16")


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_engine_has_the_tensors_that_triton_is_told(repository: Path, tmp_path: Path, precision: str) -> None:
    pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx-cu13 is not installed")
    shutil.copytree(repository, tmp_path / "models")
    tensorrt.build(NAME, tmp_path / "models", "tensorrt-rtx", compute_capability="8.9", precision=precision)
    record = json.loads((tmp_path / "models" / NAME / "1" / "model.plan.json").read_text())
    assert record["bindings"] == {
        "COMPOSITE": "TYPE_UINT8 -1x256x256x3",
        "COMPOSITE_MASK": "TYPE_UINT8 -1x256x256",
        "COLOUR_MAP": "TYPE_FP32 -1x13x256x256",
    }
    assert record["precision"] == precision and bool(record["fp32_islands"]) == (precision == "fp16")


def test_a_checkpoint_of_another_network_names_the_command_that_takes_it(form: str, tmp_path: Path) -> None:
    ours, theirs = tmp_path / "PCTNet.pth", tmp_path / "latest_net_G.pth"
    torch.save(small.pct_net(form).state_dict(), ours)
    torch.save(small.harmonizer("ht_plus").state_dict(), theirs)
    for network in (ht.NETWORK, dht.NETWORK):
        with pytest.raises(CheckpointError, match=f"but of {NAME}: python -m export {NAME} takes it"):
            convert(network, ours, tmp_path / "models")
    with pytest.raises(CheckpointError, match=f"not a checkpoint of {NAME}, but of ht: python -m export ht takes it"):
        convert(NETWORK, theirs, tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_parameters_of_another_transform_are_named(form: str, tmp_path: Path) -> None:
    weights = small.pct_net(form).state_dict()
    weights["get_params.weight"], weights["get_params.bias"] = weights["get_params.weight"][:9], torch.zeros(9)
    torch.save(weights, tmp_path / "symmetric.pth")
    with pytest.raises(CheckpointError, match=r"of another shape: get_params.bias \(9,\) instead of \(12,\)"):
        convert(NETWORK, tmp_path / "symmetric.pth", tmp_path / "models")


def test_the_weights_of_both_forms_in_one_file_are_refused(tmp_path: Path) -> None:
    both = small.pct_net("cnn").state_dict() | small.pct_net("vit").state_dict()
    torch.save(both, tmp_path / "both.pth")
    with pytest.raises(CheckpointError, match=r"left over: encoder\.block0\.convs\.block\.0\.block\.0\.weight"):
        convert(NETWORK, tmp_path / "both.pth", tmp_path / "models")
