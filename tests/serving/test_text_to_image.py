"""Text-to-image diffusion of the task `generate` through the real server."""

from collections.abc import Iterator

import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from concord.server.embedded import EmbeddedServer, Ports
from concord_client import Client, Generate
from tests.serving.asking import ask, statistics, together
from tests.serving.drawing_networks import WIDTHS, write_drawing
from tests.serving.pictures import decoded
from tests.serving.streams import Stream, stream, wire

LDM, UNET = "ldm", "ldm_text2img_unet"
GIVEN = {"TEXT": b"A red bird on a branch", "SEED": 7, "STEPS": 4, "RESOLUTION": 256}
ATTEMPTS = 5
each_model = pytest.mark.parametrize("model", list(WIDTHS))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    repository = tmp_path_factory.mktemp("models")
    write_drawing(repository, *WIDTHS)
    with EmbeddedServer([repository], ports=Ports(0, 0, 0)) as running:
        yield running


def picture(server: EmbeddedServer, model: str = LDM, **given: object) -> np.ndarray:
    return decoded(stream(server, GIVEN | given, model)[-1]["GENERATED"])


def calls(server: EmbeddedServer, model: str = UNET) -> int:
    return int(statistics(server)[model].inference_count)


@each_model
def test_a_text_becomes_a_picture_step_by_step(server: EmbeddedServer, model: str) -> None:
    *progress, last = stream(server, GIVEN | {"PREVIEW": True}, model)
    assert [response["STEP"] for response in (*progress, last)] == [0, 1, 2, 3, 4, 4]
    assert {response["TOTAL"] for response in (*progress, last)} == {4}
    assert all(response["PREVIEW"] for response in progress[1:])
    assert decoded(last["GENERATED"]).shape == (256, 256, 3) and last["SEED"] == 7 and not last["TRUNCATED"]


@each_model
def test_every_setting_changes_the_picture_and_a_seed_gives_it_again(server: EmbeddedServer, model: str) -> None:
    other = {"ldm": b"plms", "stable_diffusion": b"ddim"}[model]
    settings = [
        {},
        {"TEXT": b"a blue bird"},
        {"SEED": 8},
        {"STEPS": 5},
        {"SAMPLER": other},
        {"GUIDANCE": 2.0},
        {"RESOLUTION": 384},
    ]
    pictures = [picture(server, model, **each).tobytes() for each in settings]
    assert len(set(pictures)) == len(settings)
    assert picture(server, model).tobytes() == pictures[0]


def test_guidance_asks_the_network_for_both_noises_at_a_time(server: EmbeddedServer) -> None:
    asked = []
    for scale in (5.0, 1.0):
        before, runs = calls(server), statistics(server)[UNET].execution_count
        picture(server, GUIDANCE=scale)
        asked.append((calls(server) - before, statistics(server)[UNET].execution_count - runs))
    assert asked == [(8, 4), (4, 4)]


@each_model
def test_a_text_that_is_too_long_is_cut_off_and_said_to_be(server: EmbeddedServer, model: str) -> None:
    longest, longer = (
        stream(server, GIVEN | {"TEXT": b"bird " * 75 + more}, model)[-1] for more in (b"", b"red branches")
    )
    assert not longest["TRUNCATED"] and longer["TRUNCATED"] and longer["GENERATED"] == longest["GENERATED"]


def test_requests_side_by_side_share_the_network_s_batches(server: EmbeddedServer) -> None:
    """The best of a few attempts, since a busy machine can keep requests apart."""
    measured: list[float] = []
    while len(measured) < ATTEMPTS and max(measured, default=0.0) <= 2.5:
        before = statistics(server)[UNET]
        together(4, lambda seed: stream(server, GIVEN | {"SEED": seed, "STEPS": 10}, LDM))
        after = statistics(server)[UNET]
        runs = after.execution_count - before.execution_count
        measured.append((after.inference_count - before.inference_count) / runs)
    assert max(measured) > 2.5, measured  # more than the two of one request


def test_a_cancelled_request_stops_within_one_step(server: EmbeddedServer) -> None:
    before = calls(server)
    with Stream(server, GIVEN | {"RESOLUTION": 1024, "STEPS": 200}, LDM) as responses:
        for response in responses:
            if response["STEP"] == 3:
                break
    picture(server)  # behind it
    assert calls(server) - before < 300


def test_a_request_whose_time_is_up_says_how_to_be_faster(server: EmbeddedServer) -> None:
    with pytest.raises(InferenceServerException, match=r"TIMEOUT: not answered within 0\.3 s.*fewer STEPS"):
        stream(server, GIVEN | {"RESOLUTION": 1024, "STEPS": 200, "TIMEOUT": 0.3}, LDM)


def test_once_answers_as_the_stream_ends_and_the_client_finds_it_by_name(server: EmbeddedServer) -> None:
    *_, last = stream(server, GIVEN, LDM)
    assert ask(server, "ldm_once", wire(GIVEN), "http")["GENERATED"].item() == last["GENERATED"]
    with Client(server.grpc_url) as client:
        asked = Generate(GIVEN["TEXT"].decode())
        found = client.run(asked, model=LDM, settings={"seed": 7, "steps": 4, "resolution": 256})
    assert found.image == last["GENERATED"] and found.seed == 7


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"GUIDANCE": 0.5}, r"GUIDANCE: is 0\.5; allowed: a number from 1\.0 to 20\.0"),
        ({"GUIDANCE": 21.0}, r"GUIDANCE: is 21.*; allowed: a number from 1\.0 to 20\.0"),
        ({"STEPS": 0}, r"STEPS: is 0; allowed: a whole number from 1 to 200"),
        ({"RESOLUTION": 300}, r"RESOLUTION: is 300; allowed: 256, 384, 512, 768, 1024"),
        ({"TEXT": b""}, r"TEXT: empty"),
        ({"TEXT": b" \n"}, r"TEXT: blank"),
        ({"TEXT": b"x" * 10_001}, r"TEXT: 10001 bytes"),
    ],
)
def test_what_it_cannot_take_is_named(server: EmbeddedServer, given: dict, message: str) -> None:
    before = calls(server)
    with pytest.raises(InferenceServerException, match=message):
        stream(server, GIVEN | given, LDM)
    assert calls(server) == before
