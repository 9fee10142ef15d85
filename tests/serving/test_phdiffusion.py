"""PHDiffusion repaints a part of a picture in a frame around it, and touches nothing else."""

from collections.abc import Iterator

import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from concord.server.embedded import EmbeddedServer, Ports
from concord_client import Client
from tests.serving.asking import ask, statistics, together
from tests.serving.pictures import decoded, encoded, middle, photograph
from tests.serving.streams import Stream, stream, wire
from tests.serving.tiny_networks import PAINTING_NETWORKS, write_loops, write_networks

NAME = "phdiffusion"
UNET = "phdiffusion_unet"
PIXELS, MASK = photograph(120, 90), middle(120, 90)
GIVEN = {"IMAGE": encoded(PIXELS), "MASK": encoded(MASK), "SEED": 7, "RESOLUTION": 256}
ATTEMPTS = 5


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    repository = tmp_path_factory.mktemp("models")
    write_networks(repository, *PAINTING_NETWORKS)
    write_loops(repository, NAME)
    with EmbeddedServer([repository], ports=Ports(0, 0, 0)) as running:
        yield running


def picture(server: EmbeddedServer, **settings: object) -> np.ndarray:
    return decoded(stream(server, GIVEN | settings, NAME)[-1]["HARMONIZED"])


def calls(server: EmbeddedServer, model: str = UNET) -> int:
    return statistics(server)[model].inference_count


def test_it_asks_the_adapter_once_and_the_network_36_times_and_tells_of_every_step(server: EmbeddedServer) -> None:
    before = calls(server), calls(server, "phdiffusion_adapter")
    *progress, last = stream(server, GIVEN | {"PREVIEW": True}, NAME)
    assert (calls(server) - before[0], calls(server, "phdiffusion_adapter") - before[1]) == (36, 1)
    assert [response["STEP"] for response in progress] == list(range(36))
    assert {response["TOTAL"] for response in progress} == {35} and last["STEP"] == last["TOTAL"] == 35
    assert all(response["PREVIEW"] for response in progress[1:])
    harmonized = decoded(last["HARMONIZED"])
    np.testing.assert_array_equal(harmonized[MASK == 0], PIXELS[MASK == 0])
    assert (harmonized != PIXELS)[MASK > 0].any()


def test_a_large_picture_keeps_its_pixels_around_the_part(server: EmbeddedServer) -> None:
    pixels, mask = photograph(900, 700, channels=4), np.zeros((700, 900), np.uint8)
    mask[500:600, 700:850] = 255
    given = {"IMAGE": encoded(pixels), "MASK": encoded(mask), "STEPS": 5}
    around, whole = (picture(server, **given, FRAME=frame) for frame in (b"around", b"whole"))
    for each in (around, whole):
        np.testing.assert_array_equal(each[mask == 0], pixels[mask == 0])
        np.testing.assert_array_equal(each[..., 3], pixels[..., 3])
    assert (around != whole).any()


def test_the_published_answer_is_the_whole_square_repainted(server: EmbeddedServer) -> None:
    published, pasted = (picture(server, STEPS=5, FRAME=frame) for frame in (b"published", b"whole"))
    assert published.shape == PIXELS.shape and (published != PIXELS)[MASK == 0].any()
    inner = np.s_[40:50, 50:70]  # of the mask, behind its feather
    np.testing.assert_array_equal(published[inner], pasted[inner])


def test_every_setting_changes_the_picture_and_a_seed_gives_it_again(server: EmbeddedServer) -> None:
    settings = [{}, {"SEED": 8}, {"STEPS": 10}, {"DEPTH": 0.5}, {"SAMPLER": b"dpmpp_2m"}, {"RESOLUTION": 512}]
    pictures = [picture(server, **{"STEPS": 5, **each}).tobytes() for each in settings]
    assert len(set(pictures)) == len(settings)
    assert picture(server, STEPS=5).tobytes() == pictures[0]


def test_requests_side_by_side_share_the_network_s_batches(server: EmbeddedServer) -> None:
    """The best of a few attempts, since a busy machine can keep requests apart."""

    def mean_batch() -> float:
        before = statistics(server)[UNET]
        together(4, lambda seed: stream(server, GIVEN | {"SEED": seed}, NAME))
        after = statistics(server)[UNET]
        steps, runs = (getattr(after, name) - getattr(before, name) for name in ("inference_count", "execution_count"))
        assert steps == 4 * 36
        return steps / runs

    measured: list[float] = []
    while len(measured) < ATTEMPTS and (not measured or measured[-1] <= 1.5):
        measured.append(mean_batch())
    assert measured[-1] > 1.5, measured


def test_a_cancelled_request_stops_within_one_step(server: EmbeddedServer) -> None:
    before = calls(server)
    with Stream(server, GIVEN | {"RESOLUTION": 1024, "STEPS": 50, "DEPTH": 1.0}, NAME) as responses:
        for response in responses:
            if response["STEP"] == 3:
                break
    picture(server, STEPS=5)  # behind it
    assert 4 <= calls(server) - before < 45


def test_an_empty_mask_gives_the_picture_back_and_asks_nothing(server: EmbeddedServer) -> None:
    before = calls(server)
    np.testing.assert_array_equal(picture(server, MASK=encoded(np.zeros_like(MASK))), PIXELS)
    assert calls(server) == before


def test_a_mask_of_everything_is_repainted(server: EmbeddedServer) -> None:
    assert (picture(server, STEPS=5, MASK=encoded(np.full_like(MASK, 255))) != PIXELS).any()


def test_once_answers_as_the_stream_ends_and_the_client_finds_it_by_name(server: EmbeddedServer) -> None:
    *_, last = stream(server, GIVEN | {"STEPS": 5}, NAME)
    answer = ask(server, f"{NAME}_once", wire(GIVEN | {"STEPS": 5}), "http")
    assert answer["HARMONIZED"].item() == last["HARMONIZED"]
    with Client(server.grpc_url) as client:
        found = client.harmonize(
            GIVEN["IMAGE"], mask=GIVEN["MASK"], model=NAME, settings={"steps": 5, "seed": 7, "resolution": 256}
        )
    assert found.image == last["HARMONIZED"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"DEPTH": 0.05}, r"DEPTH: is 0\.05.*; allowed: a number from 0\.1 to 1\.0"),
        ({"STEPS": 1}, r"STEPS: is 1; allowed: a whole number from 2 to 50"),
        ({"FRAME": b"square"}, r"FRAME: is 'square'; allowed: around, whole, published"),
        ({"TEXT": b"the cat"}, r"MASK: both MASK and TEXT are given"),
        ({"MASK": encoded(MASK[:50])}, r"MASK: 120x50 pixels"),
    ],
)
def test_what_it_cannot_take_is_named(server: EmbeddedServer, given: dict, message: str) -> None:
    with pytest.raises(InferenceServerException, match=message):
        stream(server, GIVEN | given, NAME)
