"""Networks that select, through the real server: by clicks, with a picture encoded once, and the subject alone."""

from collections.abc import Iterator

import numpy as np
import onnx
import pytest
from PIL import Image
from tritonclient.utils import InferenceServerException

from concord.server.embedded import EmbeddedServer, Ports
from concord.server.installation import MODEL_REPOSITORIES
from concord_client import Client, Select
from tests.serving import selecting_networks
from tests.serving.asking import ask, statistics, together
from tests.serving.pictures import encoded
from tests.serving.test_select import BAD, iou, masks_of, numbers, scene

FAMILIES = ("mobile_sam", "sam2")
PIPELINE, ENCODER = "select_mobile_sam", "mobile_sam_encoder"
SUBJECT = "select_isnet"
CLICK = {"POINTS": numbers(30, 30, 1)}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    networks, pipelines = MODEL_REPOSITORIES
    repository = tmp_path_factory.mktemp("models")
    for name in [f"{family}_{half}" for family in FAMILIES for half in ("encoder", "decoder")] + ["isnet"]:
        (repository / name / "1").mkdir(parents=True)
        (repository / name / "config.pbtxt").symlink_to(networks / name / "config.pbtxt")
        onnx.save(getattr(selecting_networks, name)(), repository / name / "1" / "model.onnx")
    for name in (SUBJECT, "select_sam2"):
        (repository / name).symlink_to(pipelines / name)
    (repository / PIPELINE).mkdir()
    (repository / PIPELINE / "1").symlink_to(pipelines / PIPELINE / "1")
    config = (pipelines / PIPELINE / "config.pbtxt").read_text()
    assert '"embeddings_megabytes" value { string_value: "128" }' in config
    (repository / PIPELINE / "config.pbtxt").write_text(config.replace('"128"', '"12"'))  # three pictures
    with EmbeddedServer([repository], ports=Ports(0, 0, 0)) as running:
        yield running


def asked(server: EmbeddedServer, model: str) -> int:
    """How many inferences of a network there were."""
    return int(statistics(server)[model].inference_count)


def picture(seed: int) -> bytes:
    return encoded(np.roll(scene(), seed, axis=1))


def truth(height: int, width: int, scale: int = 1) -> np.ndarray:
    mask = np.zeros((height, width), bool)
    mask[20 * scale : 50 * scale, 20 * scale : 50 * scale] = True
    return mask


@pytest.mark.parametrize("family", FAMILIES)
def test_a_click_is_answered_with_part_object_and_group_the_best_first(server, family: str) -> None:
    answer = ask(server, f"select_{family}", {"IMAGE": encoded(scene())} | CLICK)
    masks, scores = masks_of(answer), answer["SCORES"].ravel()
    np.testing.assert_allclose(scores, [1.0, 0.9, 0.6])  # what the network says, at most 1
    assert len(masks) == 3 and all(iou(mask, truth(72, 96)) > 0.75 for mask in masks)
    assert max(iou(mask, truth(72, 96)) for mask in masks) > 0.9
    assert [(mask > 0).sum() for mask in masks] == sorted(((mask > 0).sum() for mask in masks), reverse=True)


@pytest.mark.parametrize(
    "given",
    [{"POINTS": numbers(30, 30, 1, 80, 60, 0)}, {"POINTS": numbers(30, 30, 1), "BOX": numbers(18, 18, 53, 53)}],
    ids=["two points", "a point and a box"],
)
def test_what_leaves_no_doubt_has_one_answer(server, given) -> None:
    answer = ask(server, PIPELINE, {"IMAGE": encoded(scene())} | given)
    [mask], [score] = masks_of(answer), answer["SCORES"].ravel()
    assert iou(mask, truth(72, 96)) > 0.9 and score == np.float32(0.95)


def test_one_answer_of_sam2_that_is_not_sure_gives_way_to_the_best_of_three(server) -> None:
    answer = ask(server, "select_sam2", {"IMAGE": encoded(scene()), "BOX": numbers(18, 18, 53, 53)})
    assert len(masks_of(answer)) == 1 and answer["SCORES"].ravel() == 1


@pytest.mark.parametrize("family", FAMILIES)
def test_a_picture_larger_than_the_square_is_answered_at_its_own_size(server, family: str) -> None:
    large = np.asarray(Image.fromarray(scene()).resize((96 * 24, 72 * 24), Image.Resampling.NEAREST))
    answer = ask(server, f"select_{family}", {"IMAGE": encoded(large), "POINTS": numbers(30 * 24, 30 * 24, 1)})
    assert all(mask.shape == large.shape[:2] for mask in masks_of(answer))
    assert max(iou(mask, truth(72 * 24, 96 * 24, 24)) for mask in masks_of(answer)) > 0.9


@pytest.mark.parametrize("family", FAMILIES)
def test_a_second_click_runs_no_encoder(server, family: str) -> None:
    def counts() -> tuple[int, int]:
        return asked(server, f"{family}_encoder"), asked(server, f"{family}_decoder")

    image, before = picture(1), counts()
    first = ask(server, f"select_{family}", {"IMAGE": image, "POINTS": numbers(31, 30, 1)})
    second = ask(server, f"select_{family}", {"IMAGE": image, "POINTS": numbers(80, 60, 1)})
    assert counts() == (before[0] + 1, before[1] + 2)
    overlap = (masks_of(first)[-1] > 0) & (masks_of(second)[-1] > 0)
    assert not overlap.any()


def test_clicks_that_come_together_encode_their_picture_once(server) -> None:
    image, before = picture(2), asked(server, ENCODER)
    answers = together(4, lambda _: ask(server, PIPELINE, {"IMAGE": image} | CLICK)["MASKS"].tolist())
    assert asked(server, ENCODER) == before + 1
    assert all(answer == answers[0] for answer in answers)


def test_the_picture_that_was_asked_for_longest_ago_is_forgotten_first(server) -> None:
    def click(seed: int) -> None:
        ask(server, PIPELINE, {"IMAGE": picture(seed)} | CLICK)

    for seed in (11, 12, 13, 11, 14):
        click(seed)
    before = asked(server, ENCODER)
    for seed in (11, 13, 14):
        click(seed)
    assert asked(server, ENCODER) == before
    click(12)
    assert asked(server, ENCODER) == before + 1


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_is_refused_by_its_tensor(server, case) -> None:
    given, words = BAD[case]
    before = asked(server, ENCODER)
    with pytest.raises(InferenceServerException) as refused:
        ask(server, PIPELINE, {"IMAGE": encoded(scene())} | given)
    assert f"[invalid_points] {words}" in str(refused.value) and asked(server, ENCODER) == before


@pytest.mark.parametrize("scale", [1, 24], ids=["small", "larger than the square"])
def test_the_subject_is_found_without_a_click(server, scale) -> None:
    pixels = np.asarray(Image.fromarray(scene()).resize((96 * scale, 72 * scale), Image.Resampling.NEAREST))
    answer = ask(server, SUBJECT, {"IMAGE": encoded(pixels)})
    [mask], [score] = masks_of(answer), answer["SCORES"].ravel()
    assert set(np.unique(mask)) == {0, 255} and iou(mask, truth(72 * scale, 96 * scale, scale)) > 0.95
    assert 0.5 < score <= 1


def test_a_picture_in_which_nothing_stands_out_has_an_empty_mask(server) -> None:
    answer = ask(server, SUBJECT, {"IMAGE": encoded(np.full((40, 60, 3), 90, np.uint8))})
    [mask], [score] = masks_of(answer), answer["SCORES"].ravel()
    assert mask.shape == (40, 60) and not mask.any() and score == 0


def test_what_is_given_says_which_model_answers(server) -> None:
    with Client(server.grpc_url) as client:
        before = asked(server, "sam2_decoder")
        clicked = client.run(Select(encoded(scene()), points=(30, 30, 1)))
        assert asked(server, "sam2_decoder") == before + 1
        assert len(clicked.masks) == 3 and clicked.scores[0] == 1
        assert len(client.run(Select(encoded(scene()))).masks) == 1
