"""The task `edit` through the real server, by the client, the command, HTTP and OpenAI's client."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from tritonclient.utils import InferenceServerException

from concord.server.embedded import EmbeddedServer, Ports
from concord_client import Client, Edit
from concord_client.command import main as concord
from facade.settings import Settings
from tests.commands import run
from tests.facade.running import PATIENCE, Facade, running
from tests.facade.sending import problem
from tests.serving.asking import ask, statistics
from tests.serving.editing_networks import PIPELINES, write_editing
from tests.serving.pictures import decoded, encoded, middle, photograph
from tests.serving.streams import Stream, stream, wire

MODEL, UNET = "blended_stable_diffusion", "stable_diffusion_unet"
PIXEL_MODEL, PIXEL_ONCE, GUIDANCE = "blended_diffusion", "blended_diffusion_once", "blended_guidance"
WIDTH, HEIGHT = 96, 72
PIXELS, MASK, TEXT = photograph(WIDTH, HEIGHT), middle(WIDTH, HEIGHT), "a red boat"
GOOD = {"IMAGE": encoded(PIXELS), "MASK": encoded(MASK), "TEXT": TEXT.encode(), "STEPS": 4, "SEED": 7}
SETTINGS = {"steps": 4, "seed": 7}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    repository = tmp_path_factory.mktemp("models")
    write_editing(repository, *PIPELINES)
    with EmbeddedServer([repository], ports=Ports(0, 0, 0)) as running_server:
        yield running_server


@pytest.fixture(scope="module")
def facade(server: EmbeddedServer) -> Iterator[Facade]:
    with running(Settings(triton_url=server.grpc_url, page=False)) as running_facade:
        yield running_facade


def edited(server: EmbeddedServer, model: str = MODEL, **given: Any) -> np.ndarray:
    return decoded(stream(server, GOOD | given, model)[-1]["EDITED"])


def calls(server: EmbeddedServer, network: str = UNET) -> int:
    return int(statistics(server)[network].inference_count)


@pytest.mark.parametrize(("model", "calls_made"), [("blended_latent", 4), (MODEL, 3)])
def test_it_tells_of_its_steps_and_changes_the_part_alone(server: EmbeddedServer, model: str, calls_made: int) -> None:
    *steps, last = stream(server, GOOD | {"PREVIEW": True}, model)
    assert [each["STEP"] for each in (*steps, last)] == [*range(calls_made + 1), calls_made]
    assert last["TOTAL"] == calls_made and all(each["PREVIEW"] for each in steps[1:])
    answer = decoded(last["EDITED"])
    assert (answer[MASK == 0] == PIXELS[MASK == 0]).all() and (answer[MASK > 0] != PIXELS[MASK > 0]).mean() > 0.9
    once = ask(server, f"{model}_once", wire(GOOD))
    assert once["EDITED"].item() == last["EDITED"] and once["SEED"].item() == last["SEED"] == 7


@pytest.mark.parametrize("size", [(640, 400), (1500, 1100)], ids=str)
def test_a_picture_of_any_size_keeps_every_other_pixel_and_its_alpha(
    server: EmbeddedServer, size: tuple[int, int]
) -> None:
    pixels, mask = photograph(*size, 4), middle(*size)
    answer = edited(server, IMAGE=encoded(pixels), MASK=encoded(mask), STEPS=1)
    assert (answer[mask == 0] == pixels[mask == 0]).all() and (answer[..., 3] == pixels[..., 3]).all()
    assert (answer[mask > 0] != pixels[mask > 0]).any(axis=1).mean() > 0.9


def test_every_setting_changes_the_picture_and_a_seed_gives_it_again(server: EmbeddedServer) -> None:
    settings = [{}, {"SEED": 8}, {"STEPS": 8}, {"SKIP": 0.5}, {"GUIDANCE": 1.0}, {"DILATION": 2}, {"RESOLUTION": 256}]
    settings += [{"BLEND": False}, {"TEXT": b"a blue boat"}]
    pictures = [edited(server, **each).tobytes() for each in settings]
    assert len(set(pictures)) == len(settings) and edited(server).tobytes() == pictures[0]


def test_candidates_are_those_of_the_next_seeds_and_ranked_ones_come_the_best_first(server: EmbeddedServer) -> None:
    with Client(server.grpc_url) as client:
        request = Edit(encoded(PIXELS), encoded(MASK), TEXT)
        first, second, third = (
            client.run(request, model=MODEL, settings=SETTINGS | {"seed": seed}) for seed in (7, 8, 9)
        )
        plain = client.run(request, model=MODEL, settings=SETTINGS | {"candidates": 3})
        ranked = client.run(request, model=MODEL, settings=SETTINGS | {"candidates": 3, "rank": True})
    assert first.candidates == () and first.scores is None and first.seed == plain.seed == 7
    assert (plain.image, *plain.candidates) == (first.image, second.image, third.image) and plain.scores is None
    order = (ranked.image, *ranked.candidates)
    assert sorted(order) == sorted((plain.image, *plain.candidates)) and ranked.scores is not None
    light = [decoded(each)[MASK > 0].mean() for each in order]
    assert light == sorted(light, reverse=True)
    assert len(ranked.scores) == 3 and list(ranked.scores) == sorted(ranked.scores, reverse=True)


def test_a_long_text_is_cut_and_its_answer_says_so(server: EmbeddedServer) -> None:
    long, longer = (stream(server, GOOD | {"TEXT": b"boat " * words}, MODEL)[-1] for words in (75, 76))
    assert (long["TRUNCATED"], longer["TRUNCATED"]) == (False, True) and long["EDITED"] == longer["EDITED"]


def test_a_mask_may_cover_everything_and_an_empty_one_changes_nothing(server: EmbeddedServer) -> None:
    before = calls(server)
    assert (edited(server, MASK=encoded(np.zeros_like(MASK)), CANDIDATES=2) == PIXELS).all() and calls(server) == before
    everywhere = edited(server, MASK=encoded(np.full_like(MASK, 255)))
    assert (everywhere != PIXELS).any(axis=2).mean() > 0.9


def test_a_diffusion_of_pixels_tells_of_its_steps_and_changes_the_part_alone(server: EmbeddedServer) -> None:
    before, short = calls(server, GUIDANCE), {"STEPS": 10, "SKIP": 0.5, "CANDIDATES": 2, "RANK": True}
    *steps, last = stream(server, GOOD | short | {"PREVIEW": True}, PIXEL_MODEL)
    assert [each["STEP"] for each in (*steps, last)] == [*range(11), 10] and last["TOTAL"] == 10
    assert calls(server, GUIDANCE) - before == 10 and all(each["PREVIEW"] for each in steps[1:])
    answer, other = decoded(last["EDITED"]), decoded(last["CANDIDATES"])
    for each in (answer, other):
        assert (each[MASK == 0] == PIXELS[MASK == 0]).all() and (each[MASK > 0] != PIXELS[MASK > 0]).mean() > 0.9
    assert answer[MASK > 0].mean() > other[MASK > 0].mean()
    once = ask(server, PIXEL_ONCE, wire(GOOD | short))
    assert once["EDITED"].item() == last["EDITED"] and once["SEED"].item() == last["SEED"] == 7


@pytest.mark.parametrize("size", [(512, 128), (1500, 1100)], ids=str)
def test_a_diffusion_of_pixels_takes_pictures_of_any_size(server: EmbeddedServer, size: tuple[int, int]) -> None:
    pixels, mask = photograph(*size, 4), middle(*size)
    given = {"IMAGE": encoded(pixels), "MASK": encoded(mask), "STEPS": 10, "SKIP": 0.9}
    answer = edited(server, PIXEL_MODEL, **given)
    assert (answer[mask == 0] == pixels[mask == 0]).all() and (answer[..., 3] == pixels[..., 3]).all()
    assert (answer[mask > 0] != pixels[mask > 0]).any(axis=1).mean() > 0.9


def test_every_setting_of_a_diffusion_of_pixels_changes_the_picture(server: EmbeddedServer) -> None:
    settings = [{}, {"SEED": 8}, {"STEPS": 12}, {"SKIP": 0.6}, {"GUIDANCE": 10.0}, {"RANGE": 500.0}, {"BLEND": False}]
    settings += [{"TEXT": b"a blue boat"}]
    pictures = [edited(server, PIXEL_MODEL, **{"STEPS": 10, "SKIP": 0.5} | each).tobytes() for each in settings]
    assert len(set(pictures)) == len(settings)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"GUIDANCE": 10001.0}, "[invalid_setting] GUIDANCE: is 10001.0; allowed: a number from 0.0 to 10000.0"),
        ({"RANGE": -1.0}, "[invalid_setting] RANGE: is -1.0; allowed: a number from 0.0 to 500.0"),
        ({"CANDIDATES": 9}, "[invalid_setting] CANDIDATES: is 9; allowed: a whole number from 1 to 8"),
        ({"STEPS": 9}, "[invalid_setting] STEPS: is 9; allowed: a whole number from 10 to 250"),
        ({"TEXT": b" "}, "[invalid_text] TEXT: blank; allowed: "),
    ],
    ids=lambda given: next(iter(given)) if isinstance(given, dict) else "",
)
def test_what_a_diffusion_of_pixels_cannot_have_is_refused_before_any_work(
    server: EmbeddedServer, given: dict[str, Any], words: str
) -> None:
    before = calls(server, GUIDANCE)
    with pytest.raises(InferenceServerException) as refused:
        stream(server, GOOD | {"STEPS": 10} | given, PIXEL_MODEL)
    assert words in str(refused.value) and calls(server, GUIDANCE) == before


def test_a_diffusion_of_pixels_cuts_a_long_text_and_leaves_a_picture_without_a_part(server: EmbeddedServer) -> None:
    before = calls(server, GUIDANCE)
    nothing = encoded(np.zeros_like(MASK))
    long, longer = (
        stream(server, GOOD | {"STEPS": 10, "MASK": nothing, "TEXT": b"boat " * words}, PIXEL_MODEL)[-1]
        for words in (75, 76)
    )
    assert (long["TRUNCATED"], longer["TRUNCATED"]) == (False, True)
    assert (decoded(longer["EDITED"]) == PIXELS).all() and calls(server, GUIDANCE) == before


def test_a_diffusion_of_pixels_stops_within_a_step_when_it_is_cancelled(server: EmbeddedServer) -> None:
    before = calls(server, GUIDANCE)
    with Stream(server, GOOD | {"STEPS": 250, "CANDIDATES": 8}, PIXEL_MODEL) as responses:
        for response in responses:
            if response["STEP"] == 3:
                break
    edited(server, PIXEL_MODEL, STEPS=10)
    assert calls(server, GUIDANCE) - before < 100


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"GUIDANCE": 21.0}, "[invalid_setting] GUIDANCE: is 21.0; allowed: a number from 1.0 to 20.0"),
        ({"GUIDANCE": float("nan")}, "[invalid_setting] GUIDANCE: is nan; allowed: a number from 1.0 to 20.0"),
        ({"CANDIDATES": 9}, "[invalid_setting] CANDIDATES: is 9; allowed: a whole number from 1 to 8"),
        ({"SKIP": 1.0}, "[invalid_setting] SKIP: is 1.0; allowed: a number from 0.0 to 0.9"),
        ({"DILATION": 9}, "[invalid_setting] DILATION: is 9; allowed: a whole number from 0 to 8"),
        ({"TEXT": b" "}, "[invalid_text] TEXT: blank; allowed: "),
        (
            {"MASK": encoded(MASK[1:])},
            "[invalid_mask] MASK: 96x71 pixels; allowed: the size of the image, 96x72 pixels",
        ),
    ],
    ids=lambda given: next(iter(given)) if isinstance(given, dict) else "",
)
def test_what_cannot_be_is_refused_before_any_work(server: EmbeddedServer, given: dict[str, Any], words: str) -> None:
    before = calls(server)
    with pytest.raises(InferenceServerException) as refused:
        stream(server, GOOD | given, MODEL)
    assert words in str(refused.value) and calls(server) == before


def test_it_stops_within_a_step_when_it_is_cancelled(server: EmbeddedServer) -> None:
    before = calls(server)
    with Stream(server, GOOD | {"STEPS": 200, "CANDIDATES": 8}, MODEL) as responses:
        for response in responses:
            if response["STEP"] == 3:
                break
    stream(server, GOOD, MODEL)
    assert calls(server) - before < 100


def test_the_command_writes_the_best_and_beside_it_the_others(server: EmbeddedServer, tmp_path: Path) -> None:
    for name in ("image", "mask"):
        (tmp_path / f"{name}.png").write_bytes(GOOD[name.upper()])
    files = ("--image", tmp_path / "image.png", "--mask", tmp_path / "mask.png", "-o", tmp_path / "out.png")
    settings = ("--model", MODEL, "--candidates", 3, "--rank", "true", "--seed", 7, "--steps", 4)
    others = ("--candidates-output", tmp_path / "other.png")
    done = run(concord, "edit", *files, "--text", TEXT, *settings, *others, "--url", server.grpc_url)
    assert done.returncode == 0 and "seed 7" in done.stdout and "scores " in done.stdout
    written = [(tmp_path / f"{name}.png").read_bytes() for name in ("out", "other", "other-2")]
    assert len(set(written)) == 3 and all((decoded(each)[MASK == 0] == PIXELS[MASK == 0]).all() for each in written)


def test_http_answers_with_the_best_picture_or_with_all_as_json(facade: Facade) -> None:
    files = {"image": GOOD["IMAGE"], "mask": GOOD["MASK"]}
    data = {"model": MODEL, "text": TEXT, "seed": "7", "steps": "4", "candidates": "2", "rank": "true"}
    with httpx.Client(base_url=facade.url, timeout=PATIENCE) as http:
        picture = http.post("/v1/edit", files=files, data=data)
        everything = http.post("/v1/edit", files=files, data=data, headers={"Accept": "application/json"}).json()
        refused = http.post("/v1/edit", files=files, data=data | {"candidates": "9"})
    assert (picture.status_code, picture.headers["x-concord-model"], picture.headers["x-concord-seed"]) == (
        200,
        MODEL,
        "7",
    )
    assert base64.b64decode(everything["image"]) == picture.content and len(everything["candidates"]) == 1
    assert len(everything["scores"]) == 2 == len(picture.headers["x-concord-scores"].split(","))
    assert problem(refused)[:3] == (400, "invalid_setting", "candidates")


def test_openais_client_reaches_it_by_its_model(server: EmbeddedServer, facade: Facade) -> None:
    hole = encoded(np.dstack([PIXELS, 255 - MASK]))

    def as_file(picture: bytes) -> tuple[str, io.BytesIO, str]:
        return "photo.png", io.BytesIO(picture), "image/png"

    asked = {"model": MODEL, "extra_body": SETTINGS}
    with openai.OpenAI(base_url=f"{facade.url}/v1", api_key="none", timeout=PATIENCE, max_retries=0) as opened:
        two = opened.images.edit(image=as_file(GOOD["IMAGE"]), mask=as_file(hole), prompt=TEXT, n=2, **asked)
        shown = opened.images.edit(
            image=as_file(GOOD["IMAGE"]), mask=as_file(hole), prompt=TEXT, stream=True, partial_images=1, **asked
        )
        kinds = [event.type for event in shown]
        with pytest.raises(openai.BadRequestError) as without_mask:
            opened.images.edit(image=as_file(GOOD["IMAGE"]), prompt=TEXT, **asked)
        with pytest.raises(openai.BadRequestError) as without_prompt:
            opened.images.edit(image=as_file(GOOD["IMAGE"]), mask=as_file(hole), prompt=openai.omit, **asked)
    pictures = [base64.b64decode(each.b64_json) for each in two.data]
    assert (decoded(pictures[0]) == edited(server)).all() and (decoded(pictures[1]) == edited(server, SEED=8)).all()
    assert kinds == ["image_edit.partial_image", "image_edit.completed"]
    assert (without_mask.value.code, without_mask.value.param) == ("missing_field", "mask")
    assert (without_prompt.value.code, without_prompt.value.param) == ("missing_field", "prompt")
