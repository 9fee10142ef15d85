"""CRISHT is one network that answers as the two do of which it is made."""

import io
import shutil
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from concord.letterbox import letterbox, mask_from_logits
from concord.scenes.scene import make_scene
from concord.server.embedded import EmbeddedServer, Ports
from concord.server.installation import MODEL_REPOSITORIES
from concord.squash import squash_image, squash_mask
from concord.tokenizer import Tokenizer
from concord_client import Client
from concord_client.errors import InvalidInput
from demo.tasks.end_to_end import EndToEnd
from export.__main__ import main
from export.networks import crisht, ht
from tests.commands import run
from tests.serving.asking import ask, statistics, together
from tests.serving.pictures import decoded, encoded, middle
from tests.serving.tiny_networks import link_segmenting

ONE, TWO = crisht.NETWORK.name, ht.NETWORK.name
SIZES = [(256, 256), (300, 640), (777, 500)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """The demo's CRISHT, and the ensemble of the two networks with its weights."""
    models, ensembles = MODEL_REPOSITORIES
    repository = tmp_path_factory.mktemp("models")
    link_segmenting(repository)
    for folder, name in (
        *((models, name) for name in (ONE, "compose")),
        *((ensembles, f"segment_harmonize_{name}") for name in (ONE, TWO)),
    ):
        (repository / name).symlink_to(folder / name)
    weights = EndToEnd().output
    finished = run(main, TWO, "--checkpoint", weights, "--model-repository", repository)
    assert finished.returncode == 0, finished.stderr
    shutil.copy(models / TWO / "config.pbtxt", repository / TWO)
    with EmbeddedServer([repository], ports=Ports(0, 0, 0)) as running:
        yield running


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_its_picture_and_mask_are_those_of_both_networks(server: EmbeddedServer, height: int, width: int) -> None:
    scene = make_scene(1_000_007 + height, (height, width))
    image = encoded(scene.composite)
    with Client(server.grpc_url, timeout=120) as client:
        one, two = (
            client.harmonize(image, text=scene.expression, model=model, settings={"edges": "hard"})
            for model in (ONE, TWO)
        )
    assert one.mask is not None and two.mask is not None
    mask = decoded(one.mask)
    assert np.array_equal(mask, decoded(two.mask)) and 0 < (mask > 0).mean() < 1
    assert one.score == pytest.approx(two.score, abs=1e-4)
    difference = np.abs(decoded(one.image).astype(int) - decoded(two.image))
    assert difference.max() <= 1 and (difference > 0).mean() < 0.002
    assert np.array_equal(decoded(one.image)[mask == 0], scene.composite[mask == 0])


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_the_network_answers_what_the_two_answer(server: EmbeddedServer, height: int, width: int) -> None:
    scene = make_scene(1_000_007 + height, (height, width))
    tokens, _ = Tokenizer.load().encode(scene.expression.encode())
    given = {
        "CRIS_IMAGE": letterbox(scene.composite),
        "COMPOSITE": squash_image(scene.composite),
        "TOKENS": tokens,
        "SIZE": np.array([height, width], np.int32),
    }
    batch = {name: value[np.newaxis] for name, value in given.items()}
    logits = ask(server, "cris", {name: batch[name] for name in ("CRIS_IMAGE", "TOKENS")})["LOGITS"]
    mask = squash_mask(mask_from_logits(logits[0], height, width)[0])
    expected = ask(server, TWO, {"COMPOSITE": batch["COMPOSITE"], "COMPOSITE_MASK": mask[np.newaxis]})
    found = ask(server, ONE, batch)
    np.testing.assert_allclose(found["LOGITS"], logits, atol=1e-3)
    np.testing.assert_allclose(found["SMALL_RESULT"], expected["SMALL_RESULT"], atol=1e-3)


def test_requests_that_come_together_share_a_run(server: EmbeddedServer) -> None:
    scenes = [make_scene(1_000_000 + n, (256, 256)) for n in range(4)]

    def harmonized(n: int) -> np.ndarray:
        with Client(server.grpc_url, timeout=120) as client:
            answer = client.harmonize(encoded(scenes[n].composite), text=scenes[n].expression, model=ONE)
        return np.asarray(Image.open(io.BytesIO(answer.image)))

    alone = [harmonized(n) for n in range(4)]
    before = statistics(server)[ONE]
    side_by_side = together(4, harmonized)
    after = statistics(server)[ONE]
    assert after.inference_count - before.inference_count == 4
    assert after.execution_count - before.execution_count < 4
    for one, other in zip(alone, side_by_side, strict=True):
        assert np.abs(one.astype(int) - other).max() <= 1


def test_a_mask_is_refused_with_what_it_takes(server: EmbeddedServer) -> None:
    scene = make_scene(1_000_000, (64, 64))
    with (
        Client(server.grpc_url) as client,
        pytest.raises(InvalidInput, match=r"does not take IMAGE . MASK; allowed: IM"),
    ):
        client.harmonize(encoded(scene.composite), mask=encoded(middle(64, 64)), model=ONE)
