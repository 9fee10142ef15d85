"""Captioners: what they answer is suggested, and what is wrong with an answer is typed and leaves the other sources."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from annotation.captioner.captioner import PROMPTS, Captioner, expressions
from annotation.captioner.openai import OpenAiCaptioner
from annotation.captioner.triton import TritonCaptioner
from annotation.iharmony4 import read_dataset
from annotation.ledger import samples
from annotation.ledger.expressions import shown
from annotation.picture import Picture
from annotation.record import Source
from concord.server.embedded import EmbeddedServer, Ports
from tests.annotation.captioning import captioning
from tests.annotation.scenes import write_scenes
from tests.annotation.site import Site, visited

MODEL = """
import numpy as np
import triton_python_backend_utils as triton


class TritonPythonModel:
    def execute(self, requests):
        answers = []
        for request in requests:
            inputs = (triton.get_input_tensor_by_name(request, name) for name in ("IMAGE", "CROP", "PROMPT"))
            image, crop, prompt = (each.as_numpy().ravel()[0] for each in inputs)
            assert image[:2] == crop[:2] == b"\\xff\\xd8"
            words = b"\\xff" if b"full phrase" in prompt else b"the thing of Triton"
            answers.append(triton.InferenceResponse([triton.Tensor("CAPTION", np.array([[words]], np.object_))]))
        return answers
"""
CONFIG = """
name: "captions"
backend: "python"
max_batch_size: 1
input [ {name: "IMAGE", data_type: TYPE_STRING, dims: [1]}, {name: "CROP", data_type: TYPE_STRING, dims: [1]},
        {name: "PROMPT", data_type: TYPE_STRING, dims: [1]} ]
output [ {name: "CAPTION", data_type: TYPE_STRING, dims: [1]} ]
"""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with captioning() as url:
        yield url


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    write_scenes(folder, 1)
    return folder


def asked(captioner: Captioner, folder: Path) -> tuple[list[str], list[str]]:
    """What a captioner says of a sample, and the codes of what went wrong."""

    async def ask() -> tuple[list[str], list[str]]:
        found, failures = await expressions(captioner, Picture.read(read_dataset(folder).samples[0]))
        await captioner.close()
        return found, [each.trouble.code for each in failures]

    return asyncio.run(ask())


def test_it_is_asked_in_three_styles_with_both_pictures(url: str, folder: Path) -> None:
    found, failures = asked(OpenAiCaptioner(url, "good", "secret"), folder)
    assert found == ["the shiny thing", "the shiny thing", "a shiny thing that lies on the ground"] and not failures


@pytest.mark.parametrize(
    ("model", "code"),
    [
        ("no-json", "malformed"),
        ("no-words", "malformed"),
        ("endless", "malformed"),
        ("long", "unusable"),
        ("lines", "unusable"),
        ("failing", "refused"),
        ("slow", "timeout"),
    ],
)
def test_a_bad_answer_is_typed(model: str, code: str, url: str, folder: Path) -> None:
    timeout = 0.2 if model == "slow" else 30.0
    assert asked(OpenAiCaptioner(url, model, "secret", timeout), folder) == ([], [code] * len(PROMPTS))


def test_a_captioner_that_is_not_there_is_typed(closed_url: str, folder: Path) -> None:
    assert asked(OpenAiCaptioner(f"http://{closed_url}/v1", "good"), folder) == ([], ["unreachable"] * len(PROMPTS))
    assert asked(TritonCaptioner(closed_url, "captions", 5.0), folder)[1][0] in ("unreachable", "timeout")


def test_triton_serves_a_captioner_too(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "captions" / "1").mkdir(parents=True)
    (tmp_path / "captions" / "1" / "model.py").write_text(MODEL)
    (tmp_path / "captions" / "config.pbtxt").write_text(CONFIG)
    with EmbeddedServer([tmp_path], ports=Ports(None, 0, 0)) as server:
        found, failures = asked(TritonCaptioner(server.grpc_url, "captions"), folder)
        assert (found, failures) == (["the thing of Triton"] * 2, ["malformed"])
        assert asked(TritonCaptioner(server.grpc_url, "others"), folder) == ([], ["refused"] * len(PROMPTS))


def test_suggestions_of_all_sources_are_merged_and_troubles_are_told(url: str, tmp_path: Path) -> None:
    write_scenes(tmp_path, 1)

    async def visit(site: Site) -> None:
        ahead = site.workplace.ahead
        ahead.captioners = [OpenAiCaptioner(url, "good", "secret"), OpenAiCaptioner(url, "failing", "secret")]
        async with ahead.running(), site.person() as ada:
            await prepared(site)
            async with site.workplace.store.reading() as session:
                row = await samples.find(session, "HCOCO/c0_1_1.jpg")
                assert row is not None and row.prepared
                found = [(each.words, each.source) for each in await shown(session, row.id, "ada")]
            assert [source for _, source in found[:2]] == [Source.CAPTIONER] * 2
            assert [words for words, _ in found[:2]] == ["the shiny thing", "a shiny thing that lies on the ground"]
            assert {source for _, source in found[2:]} == {Source.RULES}
            await ada.enters()
            assert "failing at 127.0.0.1 answered with the status 500" in await ada.sees("/progress")

    visited(tmp_path, visit)


async def prepared(site: Site) -> None:
    """Returns when every sample has suggestions."""
    while True:
        async with site.workplace.store.reading() as session:
            found = await samples.progress(session, 1)
        if found.prepared == found.total:
            return
        await asyncio.sleep(0.05)


def test_the_environments_proxies_are_not_asked(url: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert asked(OpenAiCaptioner(url, "good", "secret"), folder)[1] == []
