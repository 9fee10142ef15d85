"""``/v2`` against the real server: the pipelines as KServe v2 asks them, with the limits of every other route."""

import base64
import json
import struct
from collections.abc import Iterator

import httpx
import numpy as np
import pytest

from concord_client.catalogue import Catalogue
from facade.access.keys import hash_of
from facade.settings import Settings
from tests.facade.asking_kserve import HEADER, TEXT, as_bytes, ask, body_of, in_json, outputs, picture, refusal
from tests.facade.gated import RUNNING, WAITING
from tests.facade.running import PATIENCE, running
from tests.facade.sending import Connection
from tests.facade.test_metrics import Growth
from tests.serving.pictures import decoded, encoded, middle, photograph

SEVERAL = {"inputs": {"POINTS", "BOX"}, "outputs": {"MASKS", "SCORES", "CANDIDATES"}}
"""Tensors of any number of values."""

KEY = "concord-key-of-ann"
LONG = [in_json("STEPS", 50, "INT32"), in_json("RESOLUTION", 1024, "INT32")]


@pytest.fixture(scope="module")
def keyed(server) -> Iterator[httpx.Client]:
    """A facade that wants a key, which may ask three times an hour."""
    settings = Settings(triton_url=server.grpc_url, page=False, api_keys=KEY, rate_limit="3/hour")
    with running(settings) as facade, httpx.Client(base_url=facade.url, timeout=PATIENCE) as client:
        yield client


def test_health_says_so_in_json(http, facade):
    facade.wait_until(lambda: facade.app.state.readiness.ready)
    assert http.get("/v2/health/live").json() == {"live": True}
    assert http.get("/v2/health/ready").json() == {"ready": True}
    assert "binary_tensor_data" in http.get("/v2").json()["extensions"]


def test_without_triton_nothing_is_ready():
    with running(Settings(triton_url="127.0.0.1:9", page=False)) as facade, httpx.Client(base_url=facade.url) as http:
        assert http.get("/v2/health/live").json() == {"live": True}
        assert refusal(http.get("/v2/health/ready"))[:2] == (503, "unavailable")
        assert refusal(http.get("/v2/models/segment/ready"))[:2] == (503, "unavailable")


def test_every_public_pipeline_is_described_and_nothing_else_is_there(facade, http):
    catalogue: Catalogue = facade.service.models.catalogue
    for pipeline in catalogue.pipelines:
        for path in (f"/v2/models/{pipeline.name}", f"/v2/models/{pipeline.name}/versions/1"):
            told = http.get(path).json()
            names = {each["name"] for each in told["inputs"]}
            assert names == pipeline.inputs | pipeline.settings.keys() | (
                {"TIMEOUT"} if pipeline.has_deadline else set()
            )
            assert {each["name"] for each in told["outputs"]} <= set(pipeline.outputs)
            for side, several in SEVERAL.items():
                shapes = {each["name"]: each["shape"] for each in told[side]}
                assert shapes == {name: [1, -1 if name in several else 1] for name in shapes}
            assert http.get(f"{path}/ready").json() == {"name": pipeline.name, "ready": True}
    known = ", ".join(each.name for each in catalogue.pipelines)
    # Parts of pipelines, networks, public names of models, and what is not there at all.
    for name in ("decode", "cris_preprocess", "ht", "cris", "nothing", "%2e%2e"):
        for path in (f"/v2/models/{name}", f"/v2/models/{name}/ready"):
            assert refusal(http.get(path)) == (404, "unknown_model", "model", known)
        assert refusal(ask(http, name, in_json("TEXT", "a"))) == (404, "unknown_model", "model", known)
    assert refusal(http.get("/v2/models/segment/versions/2")) == (404, "unknown_model", "version", "1")
    for path in ("/v2/", "/v2/models", "/v2/repository/index", "/v2/models/segment/config", "/v2/systemsharedmemory"):
        assert refusal(http.get(path))[:2] == (404, "not_found")
    assert refusal(http.get("/v2/models/segment/infer"))[:2] == (405, "method_not_allowed")


def test_an_image_in_json_is_base64_or_a_data_url_and_the_answer_is_that_of_v1(http, image, mask):
    ours = http.post("/v1/harmonize", files={"image": image, "mask": mask}).content
    url = f"data:image/png;base64,{base64.b64encode(image).decode()}"
    for given in (image, url):
        answer = ask(http, "harmonize_ht", in_json("IMAGE", given), in_json("MASK", mask), id="42")
        told = answer.json()
        assert (told["model_name"], told["model_version"], told["id"]) == ("harmonize_ht", "1", "42")
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-concord-model"] == "ht" and answer.headers["x-concord-job"]
        np.testing.assert_array_equal(decoded(base64.b64decode(outputs(answer)["HARMONIZED"])), decoded(ours))


def test_tensors_go_as_bytes_in_both_directions(http, image):
    given = [as_bytes("IMAGE", image), as_bytes("TEXT", TEXT.encode())]
    answer = ask(http, "segment_harmonize_ht", *given, parameters={"binary_data_output": True})
    found = outputs(answer)
    assert answer.headers["content-type"] == "application/octet-stream"
    in_words = outputs(ask(http, "segment_harmonize_ht", in_json("IMAGE", image), in_json("TEXT", TEXT)))
    assert list(found) == ["HARMONIZED", "MASK", "SCORE", "TRUNCATED"] == list(in_words)
    for name in ("HARMONIZED", "MASK"):
        assert picture(found[name]) == base64.b64decode(in_words[name])
    assert struct.unpack("<f", found["SCORE"])[0] == pytest.approx(in_words["SCORE"])
    assert (found["TRUNCATED"], in_words["TRUNCATED"]) == (b"\0", False)


def test_outputs_are_those_that_are_wanted_each_in_its_way(http, image):
    wanted = [{"name": "SCORE"}, {"name": "MASK", "parameters": {"binary_data": True}}]
    answer = ask(http, "segment", as_bytes("IMAGE", image), in_json("TEXT", [TEXT]), outputs=wanted)
    found = outputs(answer)
    assert list(found) == ["SCORE", "MASK"]
    assert 0 <= found["SCORE"] <= 1 and decoded(picture(found["MASK"])).shape == (72, 96)
    wanted = [{"name": "SCORE"}, {"name": "HARMONIZED", "parameters": {"binary_data": False}}]
    parameters = {"binary_data_output": True}
    given = [in_json("IMAGE", image), in_json("TEXT", TEXT)]
    found = outputs(ask(http, "segment_harmonize_ht", *given, outputs=wanted, parameters=parameters))
    assert len(found["SCORE"]) == 4 and base64.b64decode(found["HARMONIZED"]).startswith(b"\x89PNG")


def test_numbers_go_in_and_several_pictures_come_out(http, image):
    points = [48.0, 36.0, 1.0, 2.0, 2.0, 0.0]
    in_words = in_json("POINTS", points, "FP32", shape=[1, 6])
    told, raw = as_bytes("POINTS", struct.pack("<6f", *points), "FP32")
    answers = []
    for given in (in_words, in_words | {"data": points}, (told | {"shape": [1, 6]}, raw)):
        answer = ask(http, "select_grabcut", in_json("IMAGE", image), given)
        assert answer.status_code == 200, answer.text
        answers.append({each["name"]: each["data"] for each in answer.json()["outputs"]})
    assert answers[0] == answers[1] == answers[2] and answers[0].keys() == {"MASKS", "SCORES"}
    assert len(answers[0]["MASKS"]) == len(answers[0]["SCORES"])
    binary = ask(http, "select_grabcut", in_json("IMAGE", image), in_words, parameters={"binary_data_output": True})
    masks = split(outputs(binary)["MASKS"])
    assert masks == [base64.b64decode(mask) for mask in answers[0]["MASKS"]]
    assert {decoded(mask).shape for mask in masks} == {(72, 96)}


def split(raw: bytes) -> list[bytes]:
    """The values of a tensor of bytes."""
    found = []
    while raw:
        size = struct.unpack_from("<I", raw)[0]
        found.append(raw[4 : 4 + size])
        raw = raw[4 + size :]
    return found


def test_a_pipeline_that_works_in_steps_takes_its_settings_and_answers_once(diffusing_http, image, mask):
    settings = [
        in_json("STEPS", 2, "INT32"),
        as_bytes("SEED", struct.pack("<q", 7), "INT64"),
        in_json("SAMPLER", "ddim"),
    ]
    given = [in_json("IMAGE", image), as_bytes("MASK", mask), *settings, in_json("TIMEOUT", 60.0, "FP32")]
    answers = [outputs(ask(diffusing_http, name, *given)) for name in ("diffharmony", "diffharmony_once")]
    assert answers[0] == answers[1] and answers[0]["SEED"] == 7
    form = {"model": "diffharmony", "steps": "2", "seed": "7", "sampler": "ddim"}
    ours = diffusing_http.post("/v1/harmonize", files={"image": image, "mask": mask}, data=form).content
    np.testing.assert_array_equal(decoded(base64.b64decode(answers[0]["HARMONIZED"])), decoded(ours))


def test_keys_and_rates_hold_and_health_asks_for_none(keyed, image):
    given = [in_json("IMAGE", image), in_json("TEXT", TEXT)]
    for path in ("/v2", "/v2/health/live", "/v2/health/ready"):
        assert keyed.get(path).status_code in (200, 503)
    for answer in (keyed.get("/v2/models/segment"), keyed.get("/v2/models/no/ready"), ask(keyed, "segment", *given)):
        assert refusal(answer)[:3] == (401, "unauthorized", "Authorization")
    headers = {"Authorization": f"Bearer {KEY}"}
    assert keyed.get("/v2/models/segment", headers=headers).status_code == 200
    assert ask(keyed, "segment", *given, headers=headers).status_code == 200
    assert ask(keyed, "segment", *given, headers=headers).status_code == 200
    answer = ask(keyed, "segment", *given, headers=headers)
    assert refusal(answer)[:2] == (429, "rate_limited") and int(answer.headers["retry-after"]) > 0


def test_a_key_reaches_the_pipelines_of_its_models_alone(server, tmp_path):
    (tmp_path / "hashes").write_text(f"ann {hash_of(KEY)} models=cris\n")
    settings = Settings(triton_url=server.grpc_url, page=False, api_keys_file=tmp_path / "hashes")
    with running(settings) as facade, httpx.Client(base_url=facade.url, timeout=PATIENCE) as client:
        headers = {"Authorization": f"Bearer {KEY}"}
        assert client.get("/v2/models/segment", headers=headers).status_code == 200
        for path in ("/v2/models/harmonize_ht", "/v2/models/harmonize_ht/ready"):
            assert refusal(client.get(path, headers=headers)) == (404, "unknown_model", "model", "segment")


def test_pages_of_other_sites_and_other_names_are_refused(http):
    given = [in_json("TEXT", TEXT)]
    assert refusal(ask(http, "segment", *given, headers={"Origin": "http://elsewhere"}))[:2] == (403, "foreign_origin")
    assert refusal(ask(http, "segment", *given, headers={"Host": "elsewhere"}))[:2] == (421, "unknown_host")


def test_a_full_queue_refuses_and_what_waits_is_answered(gate, image, mask):
    content, _ = body_of(in_json("IMAGE", image), in_json("MASK", mask))
    length = f"Content-Length: {len(content)}"
    waiting = []
    for number in range(1, RUNNING + WAITING + 1):
        connection = Connection(gate.facade)
        connection.head("/v2/models/harmonize/infer", length)
        connection.send(content)
        waiting.append(connection)
        gate.wait_for(min(number, RUNNING), max(0, number - RUNNING))
    with httpx.Client(base_url=gate.facade.url, timeout=PATIENCE) as http:
        answer = http.post("/v2/models/harmonize/infer", content=content)
        assert refusal(answer)[:2] == (503, "too_busy") and int(answer.headers["retry-after"]) > 0
        timed, _ = body_of(in_json("IMAGE", image), in_json("MASK", mask), parameters={"timeout": 100_000})
        waiting.pop().close()
        gate.wait_for(RUNNING, WAITING - 1)
        assert refusal(http.post("/v2/models/harmonize/infer", content=timed))[:2] == (504, "deadline_exceeded")
    before = gate.executed
    gate.open()
    for connection in waiting:
        status, _, content = connection.answer()
        connection.close()
        assert status == 200 and json.loads(content)["outputs"][0]["name"] == "HARMONIZED"
    # Neither the one whose client left nor the one whose time passed was begun.
    assert gate.executed - before <= len(waiting)
    gate.facade.wait_until(lambda: gate.facade.service.memory.held == 0)


def test_a_job_is_cancelled_by_its_id(diffusing_facade, diffusing_http, image, mask):
    content, _ = body_of(in_json("IMAGE", image), in_json("MASK", mask), *LONG)
    with Connection(diffusing_facade) as connection:
        connection.head("/v2/models/diffharmony/infer", f"Content-Length: {len(content)}", "X-Job-Id: theirs")
        connection.send(content)
        diffusing_facade.wait_until(lambda: diffusing_facade.service.admission.running["diffharmony"] == 1)
        assert diffusing_http.delete("/v1/jobs/theirs").status_code == 204
        status, _, body = connection.answer()
        assert status == 499 and b"cancelled" in body
    diffusing_facade.wait_until(lambda: diffusing_facade.service.admission.running["diffharmony"] == 0)


def test_a_client_that_goes_ends_its_request(diffusing_facade, image, mask):
    content, _ = body_of(in_json("IMAGE", image), in_json("MASK", mask), *LONG)
    admission = diffusing_facade.service.admission
    with Connection(diffusing_facade) as connection:
        connection.head("/v2/models/diffharmony_once/infer", f"Content-Length: {len(content)}")
        connection.send(content)
        diffusing_facade.wait_until(lambda: admission.running["diffharmony"] == 1)
    diffusing_facade.wait_until(lambda: admission.running["diffharmony"] == 0)
    assert diffusing_facade.call(lambda: len(diffusing_facade.service.jobs)) == 0


def test_requests_are_counted_by_their_public_model(http, image):
    growth = Growth(http)
    assert ask(http, "segment", in_json("IMAGE", image), in_json("TEXT", TEXT)).status_code == 200
    refusal(ask(http, "segment", in_json("IMAGE", b"none"), in_json("TEXT", TEXT)))
    route = "/v2/models/{name}/infer"
    assert growth.of("concord_requests_total", method="POST", status="200", route=route, model="cris") == 1
    assert growth.of("concord_rejections_total", route=route, reason="invalid_image") == 1


def test_a_large_picture_comes_back_whole_in_json_and_as_bytes(http):
    # Its base64 is made in several pieces.
    large = encoded(photograph(900, 700))
    given = [as_bytes("IMAGE", large), in_json("TEXT", TEXT)]
    in_words = outputs(ask(http, "segment_harmonize_ht", *given))["HARMONIZED"]
    answer = ask(http, "segment_harmonize_ht", *given, parameters={"binary_data_output": True})
    assert len(in_words) > 600_000 and base64.b64decode(in_words) == picture(outputs(answer)["HARMONIZED"])
    assert int(answer.headers[HEADER]) < 1000


@pytest.mark.parametrize("binary", [False, True])
def test_an_answer_counts_in_memory_until_its_client_has_read_it(facade, http, binary):
    inputs = [as_bytes("IMAGE", encoded(photograph(2600, 2000))), as_bytes("MASK", encoded(middle(2600, 2000)))]
    content, length = body_of(*inputs, parameters={"binary_data_output": binary})
    memory, jobs = facade.service.memory, facade.service.jobs
    with Connection(facade) as connection:
        connection.head("/v2/models/harmonize_ht/infer", f"{HEADER}: {length}", f"Content-Length: {len(content)}")
        connection.send(content)
        facade.wait_until(lambda: len(jobs) == 1)
        facade.wait_until(lambda: len(jobs) == 0)
        # More of it than lies in the connection's buffers.
        assert http.get("/v2/health/live").status_code == 200
        assert facade.call(lambda: memory.held) > 2**22
        status, headers, answer = connection.answer()
        assert status == 200 and len(answer) == int(headers["content-length"])
    facade.wait_until(lambda: memory.held == 0)
