"""Answers count in memory until they are sent, and are made as they are sent; large ones are encoded apart."""

import base64
from collections.abc import Iterator
from contextlib import suppress

import httpx
import numpy as np
import psutil
import pytest

from tests.facade.gated import Gated, gated
from tests.facade.running import PATIENCE
from tests.facade.sending import Connection, events, form_of, problem
from tests.facade.test_hostile_files import healthy
from tests.serving.pictures import encoded, middle

SIDE = 3000
MOST = 48 * 2**20
HARMONIZE = "/v1/harmonize"


@pytest.fixture(scope="module")
def narrow(tmp_path_factory) -> Iterator[Gated]:
    """A facade with memory for one large answer beside its photograph."""
    with gated(tmp_path_factory.mktemp("narrow"), max_held_bytes=MOST) as running:
        running.open()
        yield running


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    """A photograph whose answer, the same from this Triton, is more than the kernel keeps of a connection."""
    pixels = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    return {"image": encoded(pixels, compress_level=0), "mask": encoded(middle(SIDE, SIDE))}


@pytest.fixture
def unread(narrow, files) -> Iterator[Connection]:
    """A client that was sent the beginning of the answer and reads nothing."""
    with Connection(narrow.facade, buffer=2**16) as connection:
        connection.post(form_of(files))
        connection.until(b"\r\n\r\n")
        narrow.wait_for(0, 0)
        yield connection


def held(gate: Gated) -> int:
    return gate.facade.call(lambda: gate.facade.service.memory.held)


def test_an_answer_is_held_until_it_is_read_or_nobody_is_there_to_read_it(narrow, files, unread):
    narrow.facade.wait_until(lambda: narrow.facade.service.memory.held == len(files["image"]), "the answer is held")
    unread.close()
    narrow.facade.wait_until(lambda: narrow.facade.service.memory.held == 0, "it is given back")
    answer = httpx.post(f"{narrow.facade.url}{HARMONIZE}", files=files, timeout=PATIENCE)
    assert answer.content == files["image"] and held(narrow) == 0


def test_a_request_waits_until_there_is_room_for_its_answer(narrow, image, mask, files, unread):
    with Connection(narrow.facade) as waiting:
        pixels = encoded(np.zeros((SIDE, SIDE, 3), np.uint8))
        waiting.post(form_of({"image": pixels, "mask": files["mask"]}))
        narrow.wait_for(0, 1)
        # What is small finds room.
        small = {"image": image, "mask": mask}
        assert httpx.post(f"{narrow.facade.url}{HARMONIZE}", files=small, timeout=PATIENCE).status_code == 200
        narrow.wait_for(0, 1)
        unread.close()
        assert waiting.status() == 200


def test_json_and_events_are_made_while_they_are_sent(narrow, files):
    url = narrow.facade.url
    with healthy(narrow.facade), httpx.Client(base_url=url, timeout=PATIENCE) as client:
        answer = client.post(HARMONIZE, files=files, headers={"Accept": "application/json"})
        assert base64.b64decode(answer.json()["image"]) == files["image"]
        assert int(answer.headers["content-length"]) == len(answer.content)
        [*_, (name, told)] = events(client.post(HARMONIZE, files=files, data={"stream": "1"}).text)
        assert name == "result" and base64.b64decode(told["image"]) == files["image"]
    narrow.facade.wait_until(lambda: narrow.facade.service.memory.held == 0)


@pytest.mark.parametrize("form", ["jpeg", "webp", "webp-lossless"])
def test_a_picture_that_is_encoded_apart_is_the_same(http, image, mask, form, monkeypatch):
    asked = {"files": {"image": image, "mask": mask}, "data": {"format": form, "quality": "70"}}
    expected = http.post(HARMONIZE, **asked).content
    monkeypatch.setattr("facade.work.pictures._CHEAP_PIXELS", dict.fromkeys(["jpeg", "webp", "webp-lossless"], 0))
    assert http.post(HARMONIZE, **asked).content == expected


def test_a_picture_that_takes_long_to_encode_is_refused_by_name(narrow, files, monkeypatch):
    monkeypatch.setattr("concord.encoding.ENCODING_SECONDS", 1)
    answer = httpx.post(f"{narrow.facade.url}{HARMONIZE}", files=files, data={"format": "webp"}, timeout=PATIENCE)
    assert problem(answer) == (413, "too_complex", "format", "at most 1 seconds of a processor")


def encoders() -> list[psutil.Process]:
    found = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # one that has just ended
            found += [child] if "concord.encoding_worker" in child.cmdline() else []
    return found


def test_who_leaves_ends_the_encoding_of_the_answer(narrow, files):
    with Connection(narrow.facade) as connection:
        connection.post(form_of(files, {"format": "webp"}))
        narrow.facade.wait_until(lambda: bool(encoders()), "it is encoded apart")
    narrow.facade.wait_until(lambda: not encoders(), "the process is ended")
    narrow.facade.wait_until(lambda: narrow.facade.service.memory.held == 0)
