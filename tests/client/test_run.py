"""What the clients make of a server's catalogue: any model of a task, whatever its name, with the settings it has."""

import asyncio
from dataclasses import dataclass
from typing import ClassVar

import pytest

from concord_client import AsyncClient, Client, Harmonize, InvalidInput, ModelNotFound, Segment
from concord_client.errors import ServerError
from concord_client.tasks.fields import received, sent
from concord_client.tasks.request import Answer, Request
from tests.client.kserve import config, tensor

IMAGE = b"\xff\xd8 a photograph"
UNKNOWN = "Request for unknown model: 'segment' is not found"


def painter(**parameters):
    """A model that no release of the client knows, with a setting and an answer of its own."""
    strength = tensor("STRENGTH", "TYPE_FP32", optional=True)
    declared = {"task": "harmonize", "model": "painter", "setting__STRENGTH": "0.5; 0.0..1.0; how much is painted"}
    return config("paint_it", "IMAGE", "MASK", strength, **declared | parameters)


@pytest.fixture(params=[Client, AsyncClient])
def client(request, kserve, protocol):
    """One of the clients; `settled` waits for what a call of it answers."""
    with asyncio.Runner() as runner:
        made = request.param(kserve.url, protocol=protocol)
        made.settled = lambda answer: runner.run(answer) if request.param is AsyncClient else answer
        yield made
        made.settled(made.close())


def test_a_model_that_only_the_server_knows_is_asked_with_its_settings(ask, kserve):
    kserve.configs.append(painter())
    request = Harmonize(IMAGE, mask=b"mask")
    answer = ask(kserve.url, "run", request, model="painter", settings={"strength": 0.75})
    assert kserve.received == [("paint_it", {"IMAGE": IMAGE, "MASK": b"mask", "STRENGTH": 0.75}, ["HARMONIZED"])]
    assert answer.image == kserve.answers["HARMONIZED"]


def test_the_server_says_which_model_is_the_default(ask, kserve):
    kserve.configs.append(painter(rank="1"))
    ask(kserve.url, "harmonize", IMAGE, mask=b"mask")
    ask(kserve.url, "harmonize", IMAGE, text="bear")
    assert [model for model, _, _ in kserve.received] == ["paint_it", "segment_harmonize_ht"]


def test_a_task_that_the_client_does_not_know_is_no_hindrance(ask, kserve):
    kserve.configs.append(config("dream", "TEXT", task="dream", model="dreamer"))
    assert ask(kserve.url, "segment", IMAGE, "bear").score == 0.75
    assert "dream" in ask(kserve.url, "catalogue").tasks


def test_a_task_of_ones_own_needs_its_two_classes_and_no_more(ask, kserve):
    @dataclass(frozen=True)
    class Found(Answer):
        box: tuple[int, ...] = received("BOX", "left, top, right, bottom")
        words: str | None = received("WORDS", "what it is", default=None)

    @dataclass(frozen=True)
    class Find(Request[Found]):
        TASK: ClassVar[str] = "find"
        text: str = sent("TEXT", "names it")

    kserve.configs.append(config("finder", "TEXT", outputs=("BOX", "WORDS"), task="find", model="finder"))
    kserve.answers |= {"BOX": bytes([1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0]), "WORDS": "ein Bär".encode()}
    assert ask(kserve.url, "run", Find("bear")) == Found((1, 2, 3, 4), "ein Bär")


@pytest.mark.parametrize(("without", "words"), [(["image"], "image; allowed: mask"), (["nothing"], "nothing; allowed")])
def test_only_what_an_answer_may_lack_can_be_unwanted(ask, kserve, without, words):
    with pytest.raises(ValueError, match=words):
        ask(kserve.url, "run", Harmonize(IMAGE, text="bear"), without=without)
    ask(kserve.url, "run", Harmonize(IMAGE, text="bear"), without=["mask", "score"])
    assert [outputs for _, _, outputs in kserve.received] == [["HARMONIZED", "TRUNCATED"]]


def test_a_setting_that_the_model_lacks_is_refused_with_those_that_it_has(ask, kserve):
    kserve.configs.append(painter())
    with pytest.raises(InvalidInput) as refusal:
        ask(kserve.url, "run", Harmonize(IMAGE, mask=b"mask"), model="painter", settings={"steps": 3})
    assert (refusal.value.code, refusal.value.field) == ("invalid_setting", "STEPS")
    assert refusal.value.allowed == "strength, model=diffharmony"


def test_what_a_model_does_not_take_is_refused_before_anything_is_sent(ask, kserve):
    kserve.configs.append(painter())
    with pytest.raises(InvalidInput, match=r"TEXT: painter does not take IMAGE \+ TEXT; allowed: IMAGE \+ MASK"):
        ask(kserve.url, "harmonize", IMAGE, text="bear", model="painter")
    assert kserve.received == []


def test_the_catalogue_is_asked_once(client, kserve):
    for _ in range(3):
        client.settled(client.segment(IMAGE, "bear"))
    assert client.settled(client.catalogue()).models("harmonize") == ("ht", "diffharmony")
    assert kserve.looks == 1
    client.settled(client.catalogue(max_age=60))
    assert kserve.looks == 1
    client.settled(client.catalogue(max_age=0))
    assert kserve.looks == 2


def test_a_model_that_came_later_is_found(client, kserve, monkeypatch):
    monkeypatch.setattr("concord_client.aio.DOUBT_INTERVAL", 0.0)
    client.settled(client.segment(IMAGE, "bear"))
    kserve.configs.append(painter())
    client.settled(client.run(Harmonize(IMAGE, mask=b"mask"), model="painter"))
    assert kserve.received[-1][0] == "paint_it"


def test_requests_that_are_refused_do_not_ask_the_server_each_time(client, kserve):
    for _ in range(5):
        with pytest.raises(ModelNotFound, match="it has ht, diffharmony"):
            client.settled(client.run(Harmonize(IMAGE, mask=b"mask"), model="painter"))
    assert kserve.looks == 1 and kserve.received == []


def test_a_pipeline_that_was_renamed_is_asked_by_its_new_name(client, kserve):
    client.settled(client.segment(IMAGE, "bear"))
    kserve.configs = [
        config("find_it", "IMAGE", "TEXT", outputs=("MASK", "SCORE", "TRUNCATED"), task="segment", model="c")
    ]
    kserve.script = [("NOT_FOUND", UNKNOWN)]
    assert client.settled(client.segment(IMAGE, "bear")).score == 0.75
    assert [model for model, _, _ in kserve.received] == ["segment", "segment", "find_it"]


def test_a_pipeline_that_is_gone_is_not_asked_for_again(client, kserve):
    client.settled(client.segment(IMAGE, "bear"))
    kserve.configs = []
    kserve.script = [("NOT_FOUND", UNKNOWN)]
    with pytest.raises(ModelNotFound):
        client.settled(client.segment(IMAGE, "bear"))
    assert len(kserve.received) == 2


def test_a_pipeline_has_the_time_that_it_declares(ask, kserve):
    timeout = tensor("TIMEOUT", "TYPE_FP32", optional=True)
    declared = {"task": "segment", "model": "slow", "rank": "1", "deadline_seconds": "7"}
    found = ("MASK", "SCORE", "TRUNCATED")
    kserve.configs.append(config("segment_slowly", "IMAGE", "TEXT", timeout, outputs=found, **declared))
    ask(kserve.url, "run", Segment(IMAGE, "bear"))
    assert 0 < kserve.received[0][1]["TIMEOUT"] <= 7


@pytest.mark.parametrize("missing", ["MASK", "SCORE"])
def test_an_answer_without_what_its_task_promises_is_the_servers_error(ask, kserve, missing):
    del kserve.answers[missing]
    with pytest.raises(ServerError, match=missing):
        ask(kserve.url, "run", Segment(IMAGE, "bear"))
