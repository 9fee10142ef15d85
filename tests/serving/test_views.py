"""A harmonizer that sees through CLIP is given its views by the pipeline, and is not asked where there is nothing."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest

from concord.clip_view import clip_view, foreground_view
from concord.server.embedded import EmbeddedServer, Ports
from concord.server.installation import MODEL_REPOSITORIES
from concord.squash import squash_image, squash_mask
from concord_client import Client
from tests.serving.asking import ask
from tests.serving.pictures import decoded, encoded, middle, photograph
from tests.serving.tiny_networks import Graph

NAME = "clip_ht"
WIDTH, HEIGHT = 300, 200
VIEWS = ("FOREGROUND_VIEW", "COMPOSITE_VIEW")


def network() -> onnx.ModelProto:
    """Adds the mean of the foreground's view and takes that of the picture's; a run with an empty mask fails."""
    graph = Graph(1)
    axes = graph.constant(np.array([1, 2, 3], np.int64))
    pixels, mask = graph.composite()
    part, whole = (graph.node("ReduceMean", graph.pixels(view, 1 / 255, 0), axes) for view in VIEWS)
    marked = graph.node("Min", graph.node("ReduceMax", mask, axes, keepdims=0), graph.constant(np.float32(1)))
    index = graph.node("Cast", graph.scaled(marked, -1, 1), to=onnx.TensorProto.INT64)
    present = graph.node("Gather", graph.constant(np.ones((1, 1, 1, 1), np.float32)), index)
    change = graph.node("Mul", present, graph.node("Sub", part, whole))
    graph.node("Add", pixels, change, output="SMALL_RESULT")
    inputs = {
        "COMPOSITE": (np.uint8, [256, 256, 3]),
        "COMPOSITE_MASK": (np.uint8, [256, 256]),
        **{view: (np.uint8, [224, 224, 3]) for view in VIEWS},
    }
    return graph.model(inputs, "SMALL_RESULT", [3, 256, 256])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    repository: Path = tmp_path_factory.mktemp("models")
    models, ensembles = MODEL_REPOSITORIES
    for name in ("decode", "decode_mask", "clip_views", "compose"):
        (repository / name).symlink_to(models / name)
    (repository / f"harmonize_{NAME}").symlink_to(ensembles / f"harmonize_{NAME}")
    (repository / NAME / "1").mkdir(parents=True)
    (repository / NAME / "config.pbtxt").symlink_to(models / NAME / "config.pbtxt")
    onnx.save(network(), repository / NAME / "1" / "model.onnx")
    with EmbeddedServer([repository], ports=Ports(0, 0, 0)) as running:
        yield running


def test_the_views_are_those_of_the_squares(server: EmbeddedServer) -> None:
    pixels, mask = photograph(WIDTH, HEIGHT), middle(WIDTH, HEIGHT)
    composite, small_mask = squash_image(pixels), squash_mask(mask)
    given = ask(server, "clip_views", {"COMPOSITE": composite[np.newaxis], "COMPOSITE_MASK": small_mask[np.newaxis]})
    assert np.array_equal(given["FOREGROUND_VIEW"][0], foreground_view(composite, small_mask))
    assert np.array_equal(given["COMPOSITE_VIEW"][0], clip_view(composite))


def test_what_the_views_hold_changes_the_picture_inside_the_mask_alone(server: EmbeddedServer) -> None:
    pixels, mask = photograph(WIDTH, HEIGHT), middle(WIDTH, HEIGHT)
    pixels[mask > 0] //= 2
    with Client(server.grpc_url) as client:
        answer = decoded(client.harmonize(encoded(pixels), mask=encoded(mask), model=NAME).image)
    assert np.array_equal(answer[mask == 0], pixels[mask == 0])
    assert answer[mask > 0].mean() < pixels[mask > 0].mean() - 2


def test_an_empty_mask_is_answered_without_the_network(server: EmbeddedServer) -> None:
    pixels, empty = photograph(WIDTH, HEIGHT), np.zeros((HEIGHT, WIDTH), np.uint8)
    with Client(server.grpc_url) as client:
        answer = client.harmonize(encoded(pixels), mask=encoded(empty), model=NAME)
    assert np.array_equal(decoded(answer.image), pixels)
