"""The edge of a mask follows the picture, in every pipeline, as the setting EDGES says."""

import numpy as np
import pytest

from concord.edges import CHOICES, fitted
from concord.masks import intersection_over_union
from concord.scenes.photographs import HELD_OUT_FROM
from concord.scenes.scene import make_scene
from concord.server.embedded import EmbeddedServer
from concord_client import Client
from concord_client.errors import InvalidInput
from tests.serving.asking import ask
from tests.serving.pictures import decoded, encoded, middle, photograph

SCENE = make_scene(HELD_OUT_FROM, (300, 400))
IMAGE = encoded(SCENE.composite)
MODELS = ("ht", "crisht")


def test_a_mask_found_from_words_is_fitted_unless_it_is_asked_for_as_it_was_found(server: EmbeddedServer) -> None:
    with Client(server.grpc_url) as client:
        by_default, hard, fit = (
            decoded(client.segment(IMAGE, SCENE.expression, settings=settings).mask)
            for settings in ({}, {"edges": "hard"}, {"edges": "fitted"})
        )
    assert np.array_equal(by_default, fit) and not np.array_equal(fit, hard)
    assert np.array_equal(fit, fitted(SCENE.composite, hard))
    assert intersection_over_union(fit, SCENE.mask) > intersection_over_union(hard, SCENE.mask)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("edges", CHOICES)
def test_what_is_harmonized_is_the_mask_that_is_answered(server: EmbeddedServer, model: str, edges: str) -> None:
    with Client(server.grpc_url) as client:
        answer = client.harmonize(IMAGE, text=SCENE.expression, model=model, settings={"edges": edges})
        assert answer.mask == client.segment(IMAGE, SCENE.expression, settings={"edges": edges}).mask
    mask, changed = decoded(answer.mask), (decoded(answer.image) != SCENE.composite).any(axis=2)
    assert not changed[mask == 0].any()
    assert changed[mask > 0].mean() > 0.5
    assert bool(((mask > 0) & (mask < 255)).any()) == (edges == "soft")


def test_a_given_mask_is_fitted_only_on_demand(server: EmbeddedServer) -> None:
    brush = encoded(np.roll(SCENE.mask, 4, axis=1))
    with Client(server.grpc_url) as client:
        by_default, hard, fit, soft = (
            client.harmonize(IMAGE, mask=brush, model="ht", settings=settings).image
            for settings in ({}, {"edges": "hard"}, {"edges": "fitted"}, {"edges": "soft"})
        )
    assert by_default == hard
    outside = np.roll(SCENE.mask, 4, axis=1) == 0
    missed = outside & (SCENE.mask > 0)
    assert np.array_equal(decoded(hard)[outside], SCENE.composite[outside])
    for each in (fit, soft):
        assert (decoded(each) != SCENE.composite).any(axis=2)[missed].mean() > 0.5


@pytest.mark.parametrize("model", ["segment", "segment_harmonize_ht", "harmonize_ht"])
def test_another_word_is_refused_and_the_server_goes_on(server: EmbeddedServer, model: str) -> None:
    inputs = {"IMAGE": IMAGE, "EDGES": b"sharp"}
    inputs |= {"MASK": encoded(SCENE.mask)} if model == "harmonize_ht" else {"TEXT": b"the ball"}
    with pytest.raises(Exception, match="EDGES: is 'sharp'; allowed: auto, hard, fitted, soft"):
        ask(server, model, inputs)
    inputs["EDGES"] = b"hard"
    assert ask(server, model, inputs)


def test_the_client_knows_the_words(server: EmbeddedServer) -> None:
    with Client(server.grpc_url) as client, pytest.raises(InvalidInput, match="auto, hard, fitted, soft"):
        client.segment(IMAGE, "the ball", settings={"edges": "sharp"})
    with Client(server.grpc_url) as client:
        finding = [each for each in client.catalogue().pipelines if "TEXT" in each.inputs and "MASK" in each.outputs]
    settings = [each.settings["EDGES"] for each in finding]
    assert settings and {setting.choices for setting in settings} == {CHOICES}


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 70), (64, 48)])
@pytest.mark.parametrize("edges", ["fitted", "soft"])
def test_any_mask_can_be_fitted(server: EmbeddedServer, width: int, height: int, edges: str) -> None:
    image = photograph(width, height)
    nothing = np.zeros((height, width), np.uint8)
    with Client(server.grpc_url) as client:
        for mask in (nothing, nothing + 255, middle(width, height)):
            answer = client.harmonize(encoded(image), mask=encoded(mask), model="ht", settings={"edges": edges})
            assert decoded(answer.image).shape == image.shape
            assert mask.any() or np.array_equal(decoded(answer.image), image)
