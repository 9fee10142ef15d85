"""``POST /v1/batches``: every photograph has its outcome, whatever the others are; and what a batch may be."""

import io
import json
import zipfile

import httpx
import numpy as np
import pytest

from facade.settings import Settings
from tests.facade.conftest import HEIGHT, WIDTH
from tests.facade.gated import RUNNING, WAITING
from tests.facade.running import PATIENCE, Facade, running
from tests.facade.sending import Connection, events, form_of, problem
from tests.serving.pictures import decoded, encoded, middle, photograph

BATCHES = "/v1/batches"
TEXT = {"text": "the red ball"}
INSIDE = middle(WIDTH, HEIGHT) == 255


@pytest.fixture(scope="module")
def narrow(server):
    """A facade that takes small batches only."""
    settings = Settings(triton_url=server.grpc_url, page=False, max_batch_images=2, max_batch_bytes=200_000)
    with running(settings) as facade, httpx.Client(base_url=facade.url, timeout=PATIENCE) as client:
        yield client


def zipped(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def listed(files: dict[str, bytes]) -> list:
    return [("images", (name, content)) for name, content in files.items()]


def unzipped(answer: httpx.Response) -> tuple[dict[str, bytes], dict]:
    """The pictures of an answer and its results."""
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip"), answer.text
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        files = {name: archive.read(name) for name in archive.namelist()}
    return files, json.loads(files.pop("results.json"))


def test_a_zip_of_photographs_comes_back_as_a_zip_of_pictures(http, image, mask):
    archive = zipped({"a/beach.png": image, "a/beach_mask.png": mask, "tower.png": image, "tower_mask.png": mask})
    pictures, results = unzipped(http.post(BATCHES, files={"archive": archive}))
    single = http.post("/v1/harmonize", files={"image": image, "mask": mask}).content
    assert pictures == {"a/beach.png": single, "tower.png": single}
    assert (results["ok"], results["failed"], results["model"]) == (2, 0, "ht")
    assert [(each["image"], each["file"]) for each in results["images"]] == [
        ("a/beach.png", "a/beach.png"),
        ("tower.png", "tower.png"),
    ]


def test_an_answer_can_be_unpacked_whatever_the_names(http, tmp_path, image, mask):
    names = ["x.jpg", "x.png/y.jpg", "results.json/a.jpg"]
    files = dict.fromkeys(names, image) | {f"{name[:-4]}_mask.png": mask for name in names}
    answer = http.post(BATCHES, files={"archive": zipped(files)})
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        archive.extractall(tmp_path)
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["ok"] == 3 and all((tmp_path / each["file"]).is_file() for each in results["images"])


def test_a_list_of_photographs_does_too(http, image, mask):
    files = listed({"beach.jpg": image, "beach_mask.png": mask})
    pictures, results = unzipped(http.post(BATCHES, files=files))
    assert list(pictures) == ["beach.png"] and results["ok"] == 1
    assert results["images"][0]["seconds"].keys() == {"queued", "inference"}


def test_the_text_is_for_photographs_without_a_mask(http, image, mask):
    files = listed({"masked.png": image, "masked_mask.png": mask, "named.png": image})
    pictures, results = unzipped(http.post(BATCHES, files=files, data=TEXT))
    by_text = http.post("/v1/harmonize", files={"image": image}, data=TEXT).content
    changed = (decoded(pictures["masked.png"]) != decoded(image)).any(axis=2)
    assert pictures["named.png"] == by_text and changed.any() and not changed[~INSIDE].any()
    scores = {each["image"]: each.get("score") for each in results["images"]}
    assert scores["masked.png"] is None and 0 <= scores["named.png"] <= 1


def test_one_that_cannot_be_read_does_not_fail_the_others(http, image, mask):
    small = encoded(np.zeros((4, 4), np.uint8))
    files = {
        "good.png": image,
        "text.txt": b"no picture",
        "cut.png": image[:200],
        "odd.png": image,
        "odd_mask.png": small,
    }
    for sent in (listed(files), {"archive": zipped(files)}):
        pictures, results = unzipped(http.post(BATCHES, files=sent, data=TEXT))
        assert list(pictures) == ["good.png"]
        problems = {
            each["image"]: each["problem"]["type"].split(":")[-1] for each in results["images"] if not each["ok"]
        }
        assert problems == {"text.txt": "invalid_image", "cut.png": "invalid_image", "odd.png": "invalid_mask"}
        assert (results["ok"], results["failed"]) == (1, 3)


def test_a_damaged_entry_does_not_fail_the_others(http, image):
    archive = zipped({"good.png": image, "bad.png": image})
    middle_of_second = archive.rindex(b"IEND") - 30 if b"IEND" in archive else archive.index(b"bad.png") + 200
    damaged = archive[:middle_of_second] + b"\0\0\0\0" + archive[middle_of_second + 4 :]
    pictures, results = unzipped(http.post(BATCHES, files={"archive": damaged}, data=TEXT))
    assert (results["ok"], results["failed"], list(pictures)) == (1, 1, ["good.png"])
    assert results["images"][1]["problem"]["type"].endswith("invalid_archive")


def test_names_lead_nowhere(http, image):
    files = [("images", (name, image)) for name in ("../../up.png", "/root.png", "up.png")]
    pictures, results = unzipped(http.post(BATCHES, files=files, data=TEXT))
    assert sorted(pictures) == ["root.png", "up-2.png", "up.png"]
    assert [each["image"] for each in results["images"]] == ["../../up.png", "/root.png", "up.png"]


@pytest.mark.parametrize(
    "picture_format, suffix, beginning",
    [("jpeg", "jpg", b"\xff\xd8"), ("webp", "webp", b"RIFF"), ("webp-lossless", "webp", b"RIFF")],
)
def test_pictures_come_in_the_format_that_was_asked_for(http, image, picture_format, suffix, beginning):
    form = TEXT | {"format": picture_format, "quality": "50"}
    pictures, _ = unzipped(http.post(BATCHES, files=listed({"beach.png": image}), data=form))
    assert pictures[f"beach.{suffix}"].startswith(beginning)


def test_progress_is_told_as_it_is_made(http, image):
    files = listed({"a.png": image, "b.png": b"no picture", "c.png": image})
    told = events(http.post(BATCHES, files=files, data=TEXT | {"stream": "true"}).text)
    assert [name for name, _ in told] == ["started", "image", "image", "image", "result"]
    assert told[0][1]["images"] == ["a.png", "b.png", "c.png"]
    done = {each["image"]: each for name, each in told if name == "image"}
    assert sorted(each["done"] for each in done.values()) == [1, 2, 3]
    assert done["a.png"]["ok"] and done["a.png"]["picture"] and not done["b.png"]["ok"]
    assert (told[-1][1]["ok"], told[-1][1]["failed"]) == (2, 1)


@pytest.mark.parametrize(
    "files, form, status, code",
    [
        ({}, TEXT, 400, "missing_field"),
        ({"images": b"x", "archive": b"x"}, TEXT, 400, "invalid_setting"),
        ({"archive": b"no zip file"}, TEXT, 400, "invalid_archive"),
        ({"images": b"x"}, {}, 400, "missing_field"),
        ({"images": b"x"}, TEXT | {"model": "nothing"}, 404, "unknown_model"),
        ({"images": b"x"}, TEXT | {"model": "cris"}, 404, "unknown_model"),
        ({"images": b"x"}, TEXT | {"steps": "3"}, 400, "invalid_setting"),
        ({"images": b"x"}, TEXT | {"timeout": "3600"}, 400, "invalid_setting"),
        ({"images": b"x"}, TEXT | {"format": "gif"}, 400, "invalid_setting"),
        ({"images": b"x", "mask": b"x"}, TEXT, 400, "unexpected_field"),
    ],
)
def test_what_no_photograph_could_be_answered_with_is_refused_as_a_whole(http, files, form, status, code):
    answer = http.post(BATCHES, files=[*files.items(), *((name, (None, value)) for name, value in form.items())])
    assert (answer.status_code, answer.json()["type"]) == (status, f"urn:concord:problem:{code}"), answer.text


@pytest.mark.parametrize(
    "files, allowed",
    [
        (listed({"a.png": b"x", "b.png": b"x", "c.png": b"x"}), "at most 2 photographs"),
        ({"archive": zipped({f"{n}.png": b"x" for n in range(5)})}, "at most 4 files"),
        ({"archive": zipped({"a.png": bytes(150_000), "b.png": bytes(150_000)})}, "at most 200000 bytes"),
        (listed({"a.png": bytes(1_300_000)}), "bytes"),
    ],
    ids=["photographs", "entries", "bomb", "body"],
)
def test_a_batch_is_bounded(narrow, files, allowed):
    answer = narrow.post(BATCHES, files=files, data=TEXT)
    assert (answer.status_code, answer.json()["type"]) == (413, "urn:concord:problem:request_too_large")
    assert allowed in answer.json()["allowed"]


def test_a_batch_leaves_a_place_to_single_requests(gate, image, mask):
    files = {f"{number}.png": image for number in range(3)} | {f"{number}_mask.png": mask for number in range(3)}
    with Connection(gate.facade) as batch, Connection(gate.facade) as single:
        batch.post(form_of(listed(files)), BATCHES, "Connection: close")
        gate.wait_for(RUNNING - 1, 0)
        single.post(form_of({"image": image, "mask": mask}))
        gate.wait_for(RUNNING, 0)
        gate.open()
        assert (single.status(), batch.status()) == (200, 200)


def test_a_batch_waits_while_others_fill_the_queue(gate, image, mask):
    singles = [Connection(gate.facade) for _ in range(RUNNING + WAITING)]
    for connection in singles:
        connection.post(form_of({"image": image, "mask": mask}))
    gate.wait_for(RUNNING, WAITING)
    with Connection(gate.facade) as batch:
        batch.post(form_of(listed({"a.png": image, "a_mask.png": mask}), {"stream": "true"}), BATCHES)
        assert batch.status() == 200
        gate.open()
        for connection in singles:
            assert connection.status() == 200
            connection.close()
        assert b'"ok":true' in batch.until(b"event: result")


def test_a_cancelled_batch_says_what_was_not_done(facade: Facade, http, image):
    files = listed({f"{number}.png": photographed(number) for number in range(24)})
    with http.stream("POST", BATCHES, files=files, data=TEXT, headers={"X-Job-Id": "batch-1"}) as answer:
        pieces = answer.iter_bytes()
        content = next(pieces)
        assert http.delete("/v1/jobs/batch-1").status_code == 204
        content += b"".join(pieces)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        results = json.loads(archive.read("results.json"))
        assert len(archive.namelist()) == results["ok"] + 1
    assert len(results["images"]) == 24 and results["ok"] >= 1 and results["failed"] >= 1
    assert {each["problem"]["type"] for each in results["images"] if not each["ok"]} == {
        "urn:concord:problem:cancelled"
    }
    facade.wait_until(lambda: "batch-1" not in facade.service.jobs)


@pytest.mark.parametrize("stream", ["true", "false"])
def test_a_client_that_goes_away_ends_its_batch(facade: Facade, image, stream):
    files = listed({f"{number}.png": photographed(number) for number in range(24)})
    with (
        httpx.Client(base_url=facade.url, timeout=PATIENCE) as client,
        client.stream("POST", BATCHES, files=files, data=TEXT | {"stream": stream}) as answer,
    ):
        next(answer.iter_bytes())
    facade.wait_until(
        lambda: not facade.service.jobs and not any(facade.service.admission.running.values()),
        "the batch ends with its client",
    )
    facade.wait_until(lambda: facade.service.memory.held == 0, "its photographs are given back")


def test_two_batches_of_one_job_are_refused(http, image):
    files = listed({f"{number}.png": photographed(number) for number in range(20)})
    with http.stream("POST", BATCHES, files=files, data=TEXT, headers={"X-Job-Id": "batch-2"}) as answer:
        pieces = answer.iter_bytes()
        next(pieces)
        again = http.post(BATCHES, files=files, data=TEXT, headers={"X-Job-Id": "batch-2"})
        assert again.status_code == 409
        assert again.json()["type"] == "urn:concord:problem:job_in_use"
        http.delete("/v1/jobs/batch-2")


def photographed(number: int) -> bytes:
    return encoded(photograph(WIDTH + number, HEIGHT))


def test_steps_of_diffusions_are_told(diffusing_http, image):
    form = TEXT | {"model": "diffharmony", "steps": "3", "seed": "5", "stream": "true"}
    told = events(diffusing_http.post(BATCHES, files=listed({"a.png": image, "b.png": image}), data=form).text)
    steps = [(each["index"], each["step"], each["total"]) for name, each in told if name == "step"]
    assert sorted(step for step in steps if step[1]) == [(n, step, 3) for n in (0, 1) for step in (1, 2, 3)]
    assert [each["seed"] for name, each in told if name == "image"] == [5, 5]


def test_photographs_have_texts_of_their_own_and_a_bad_line_is_named_by_its_number(http, image, mask):
    files = listed({"a.png": image, "d/b.png": image, "c.png": image, "c_mask.png": mask, "e.png": image})
    lines = ['{"image": "a.png", "text": "the red ball"}', "{", '{"image": "b.png", "text": "the sky"}']
    lines.append('{"image": "none.png", "text": "the sky"}')
    answer = http.post(BATCHES, files=[*files, ("expressions", ("texts.jsonl", "\n".join(lines)))])
    pictures, told = unzipped(answer)
    assert set(pictures) == {"a.png", "d/b.png", "c.png"}
    assert [each["line"] for each in told["lines"]] == [2, 4]
    assert [each["ok"] for each in told["images"]] == [True, True, True, False]
    assert told["images"][3]["problem"]["field"] == "text"
    alone = http.post("/v1/harmonize", files={"image": image}, data={"text": "the sky"})
    assert pictures["d/b.png"] == alone.content


def test_expressions_of_nothing_and_too_many_are_refused(http, image):
    for content, code in ((b"{", "missing_field"), (b"\n" * (2**20 + 1), "request_too_large")):
        files = [*listed({"a.png": image}), ("expressions", ("texts.jsonl", content))]
        assert problem(http.post(BATCHES, files=files))[1] == code
