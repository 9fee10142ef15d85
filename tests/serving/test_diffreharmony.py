"""DiffReHarmony is given a text, finds the mask at each step, and changes the picture inside it alone."""

from collections.abc import Iterator

import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from concord.server.embedded import EmbeddedServer, Ports
from concord_client import Client
from concord_client.errors import InvalidInput
from tests.serving.asking import ask, statistics
from tests.serving.pictures import decoded, encoded, photograph
from tests.serving.streams import stream
from tests.serving.tiny_networks import write_loops, write_networks

NAME = "diffreharmony"
PIXELS = photograph(120, 90)
GIVEN = {"IMAGE": encoded(PIXELS), "TEXT": b"the red ball", "SEED": 7}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    repository = tmp_path_factory.mktemp("models")
    write_networks(repository, "vae_encoder", "vae_decoder", "latent_preview", "text_encoder", "referring_unet")
    write_loops(repository, NAME, **{"gate.linear_decoder": "passed"})
    with EmbeddedServer([repository], ports=Ports(0, 0, 0)) as running:
        yield running


def answer(server: EmbeddedServer, **settings: object) -> dict:
    return stream(server, GIVEN | settings, NAME)[-1]


def test_the_mask_that_it_finds_is_the_one_that_the_change_is_made_in(server: EmbeddedServer) -> None:
    *progress, last = stream(server, GIVEN, NAME)
    assert [response["STEP"] for response in progress] == [0, 1, 2, 3, 4, 5]
    mask, picture = decoded(last["MASK"]), decoded(last["HARMONIZED"])
    assert mask.shape == PIXELS.shape[:2] and set(np.unique(mask)) == {0, 255}
    np.testing.assert_array_equal(picture[mask == 0], PIXELS[mask == 0])
    assert (picture[mask > 0] != PIXELS[mask > 0]).any()
    assert 0.5 <= last["SCORE"] <= 1 and last["TRUNCATED"] is False


def test_the_mask_is_the_last_step_s_or_the_mean_of_all(server: EmbeddedServer) -> None:
    last, mean = (decoded(answer(server, MASK_FROM=how)["MASK"]) for how in (b"last", b"mean"))
    assert np.array_equal(last, decoded(answer(server)["MASK"]))
    # At high timesteps the network finds more.
    assert 0 < (last > 0).sum() < (mean > 0).sum() and (mean[last > 0] > 0).all()


def test_another_text_gives_another_picture(server: EmbeddedServer) -> None:
    first, second, again = (answer(server, TEXT=text)["HARMONIZED"] for text in (b"a cat", b"a dog", b"a cat"))
    assert first != second and first == again


def test_guidance_asks_for_both_in_one_call(server: EmbeddedServer) -> None:
    plain = answer(server)["HARMONIZED"]
    before = statistics(server)["referring_unet"]
    guided = answer(server, GUIDANCE=3.0)["HARMONIZED"]
    after = statistics(server)["referring_unet"]
    assert after.inference_count - before.inference_count == 10
    assert after.execution_count - before.execution_count == 5
    assert guided != plain and answer(server, GUIDANCE=1.0)["HARMONIZED"] == plain


def test_a_text_that_is_too_long_is_cut_and_that_is_said(server: EmbeddedServer) -> None:
    assert answer(server, TEXT=b"ball " * 75)["TRUNCATED"] is False
    assert answer(server, TEXT=b"ball " * 76)["TRUNCATED"] is True


def test_its_latent_is_decoded_by_what_has_passed_its_gate(server: EmbeddedServer) -> None:
    plain, linear = (decoded(answer(server, DECODER=which)["HARMONIZED"]) for which in (b"plain", b"linear"))
    mask = decoded(answer(server)["MASK"])
    assert (plain != linear)[mask > 0].any()
    np.testing.assert_array_equal(linear[mask == 0], PIXELS[mask == 0])
    with pytest.raises(InferenceServerException, match=r"needs the model 'tiny_decoder'|has not passed the gate"):
        answer(server, DECODER=b"tiny")


def test_both_protocols_give_the_same_picture(server: EmbeddedServer) -> None:
    given = {"IMAGE": GIVEN["IMAGE"], "TEXT": GIVEN["TEXT"], "SEED": np.array([[7]])}
    once = ask(server, f"{NAME}_once", given, "http")
    assert once["HARMONIZED"].item() == answer(server)["HARMONIZED"]


def test_a_mask_is_refused_with_what_it_takes(server: EmbeddedServer) -> None:
    mask = encoded(np.full(PIXELS.shape[:2], 255, np.uint8))
    with (
        Client(server.grpc_url) as client,
        pytest.raises(InvalidInput, match=r"diffreharmony does not take IMAGE . MASK; allowed: IMAGE . TEXT"),
    ):
        client.harmonize(GIVEN["IMAGE"], mask=mask, model=NAME)


def test_a_picture_in_which_nothing_is_found_comes_back_as_it_is(server: EmbeddedServer) -> None:
    grey = np.full((40, 60, 3), 128, np.uint8)
    last = stream(server, GIVEN | {"IMAGE": encoded(grey)}, NAME)[-1]
    mask = decoded(last["MASK"])
    assert np.array_equal(decoded(last["HARMONIZED"])[mask == 0], grey[mask == 0])
