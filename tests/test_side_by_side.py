"""Harmonizers of one pass are exported by a command each, served side by side, and chosen by name everywhere."""

import base64
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from openai import OpenAI

from concord.server.embedded import EmbeddedServer, Ports
from concord.server.installation import MODEL_REPOSITORIES
from concord_client import Client
from concord_client.command import main
from facade.settings import Settings
from tests.commands import run
from tests.export.once import exported
from tests.export.small import HARMONIZERS
from tests.facade.running import PATIENCE, Facade, running
from tests.serving.pictures import decoded, encoded, middle, photograph

NAMES = [network.name for network in HARMONIZERS]
WIDTH, HEIGHT = 96, 72
IMAGE, MASK = encoded(photograph(WIDTH, HEIGHT)), encoded(middle(WIDTH, HEIGHT))


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """The project's pipelines, each harmonizer a small one that was exported from a checkpoint of its own."""
    models, ensembles = tmp_path_factory.mktemp("models"), MODEL_REPOSITORIES[1]
    for model in MODEL_REPOSITORIES[0].iterdir():
        if model.name in NAMES:
            shutil.copytree(model, models / model.name, ignore=shutil.ignore_patterns("model.onnx*", "model.json"))
        else:
            (models / model.name).symlink_to(model)
    for network in HARMONIZERS:
        shutil.copytree(exported(tmp_path_factory, network), models, dirs_exist_ok=True)
    with EmbeddedServer([models, ensembles], ports=Ports(0, 0, 0)) as server:
        yield server


@pytest.fixture(scope="module")
def facade(family: EmbeddedServer) -> Iterator[Facade]:
    with running(Settings(triton_url=family.grpc_url, page=False)) as facade:
        yield facade


@pytest.fixture(scope="module")
def answers(family: EmbeddedServer) -> dict[str, np.ndarray]:
    """What each network answers to the client."""
    with Client(family.grpc_url) as client:
        return {name: decoded(client.harmonize(IMAGE, mask=MASK, model=name).image) for name in NAMES}


def test_each_name_is_another_network(answers: dict[str, np.ndarray]) -> None:
    pictures = {picture.tobytes() for picture in answers.values()}
    assert len(pictures) == len(NAMES) == 5


def test_the_catalogue_lists_them_all(family: EmbeddedServer) -> None:
    with Client(family.grpc_url) as client:
        assert set(NAMES) < set(client.catalogue().models("harmonize"))


@pytest.mark.parametrize("name", NAMES)
def test_the_same_name_gives_the_same_picture_everywhere(
    name: str, family: EmbeddedServer, facade: Facade, answers: dict[str, np.ndarray], tmp_path: Path
) -> None:
    (tmp_path / "photo.png").write_bytes(IMAGE)
    (tmp_path / "mask.png").write_bytes(MASK)
    files = ("--image", tmp_path / "photo.png", "--mask", tmp_path / "mask.png", "-o", tmp_path / "out.png")
    assert run(main, "harmonize", "--model", name, "--url", family.grpc_url, *files).returncode == 0
    sent = {"files": {"image": IMAGE, "mask": MASK}, "data": {"model": name}, "timeout": PATIENCE}
    answer = httpx.post(f"{facade.url}/v1/harmonize", **sent)
    assert answer.headers["x-concord-model"] == name
    edited = OpenAI(base_url=f"{facade.url}/v1", api_key="none").images.edit(
        model=name, image=("photo.png", IMAGE), mask=("mask.png", see_through(MASK)), prompt=""
    )
    for picture in ((tmp_path / "out.png").read_bytes(), answer.content, base64.b64decode(edited.data[0].b64_json)):
        assert np.array_equal(decoded(picture), answers[name])


@pytest.mark.parametrize("name", NAMES)
def test_each_takes_a_text_too(name: str, family: EmbeddedServer) -> None:
    with Client(family.grpc_url) as client:
        answer = client.harmonize(IMAGE, text="the red ball", model=name)
    assert answer.score is not None and decoded(answer.image).shape == (HEIGHT, WIDTH, 3)


def see_through(mask: bytes) -> bytes:
    """The mask as OpenAI's clients send it: transparent where the picture is to change."""
    alpha = 255 - decoded(mask)
    return encoded(np.dstack([np.zeros((*alpha.shape, 3), np.uint8), alpha]))
