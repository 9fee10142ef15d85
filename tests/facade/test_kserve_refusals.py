"""Requests of KServe v2 that are not what they should be: each is refused with what was wrong and what is allowed."""

import json
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.drills.hostile import REFUSED as HOSTILE
from concord.server.declared import catalogue
from concord.server.installation import MODEL_REPOSITORIES
from concord_client.errors import InvalidInput
from facade.kserve.call import MAX_JSON_BYTES, Body, read
from facade.kserve.tensors import Tensors
from facade.problems import Problem
from facade.settings import Settings
from tests.facade.asking_kserve import HEADER, TEXT, as_bytes, ask, body_of, in_json, refusal
from tests.facade.running import running
from tests.facade.sending import Connection
from tests.serving.pictures import encoded, photograph

IMAGE = encoded(photograph(8, 8))
GIVEN = [in_json("IMAGE", IMAGE), in_json("TEXT", TEXT)]
BOTH, INPUTS = "IMAGE, TEXT, EDGES, STRENGTH, OUTPUT", "inputs.0."
ONE_VALUE = "one value, with its length in 4 bytes before it, little-endian"
IN_BASE64 = "base64 without line breaks, or a data URL of it"
EITHER = "either data or binary_data_size"
FIELDS = "what a request of KServe v2 has, see /openapi.json"
PARTS = "at most 4096 brackets and commas"
SUM = f"as many as the inputs' binary_data_size add up to, after {HEADER} bytes of JSON"
LENGTHS = f"a whole number from 0 to {MAX_JSON_BYTES}"


def sized(size: object) -> dict[str, object]:
    return {"name": "IMAGE", "datatype": "BYTES", "shape": [1, 1], "parameters": {"binary_data_size": size}}


def image_with(**members: object) -> list[object]:
    return [GIVEN[0] | members, GIVEN[1]]


REFUSED = {
    "no inputs": ([], (400, "missing_field", "IMAGE", BOTH)),
    "an input too few": (GIVEN[:1], (400, "missing_field", "TEXT", BOTH)),
    "an unknown input": ([*GIVEN, in_json("MASK", IMAGE)], (400, "unexpected_field", "MASK", BOTH)),
    "an input twice": ([*GIVEN, GIVEN[0]], (400, "duplicate_field", "IMAGE", "once")),
    "another datatype": (image_with(datatype="UINT8"), (400, "invalid_tensor", "IMAGE", "BYTES")),
    "a batch": (image_with(shape=[2, 1]), (400, "invalid_tensor", "IMAGE", "[1, 1]")),
    "a negative side": (image_with(shape=[-1, -1]), (400, "invalid_tensor", "IMAGE", "[1, 1]")),
    "no sides": (image_with(shape=[]), (400, "invalid_tensor", "IMAGE", "[1, 1]")),
    "a side that is no number": (image_with(shape=["1", 1]), (400, "malformed_body", f"{INPUTS}shape.0", FIELDS)),
    "two values": (image_with(data=["a", "b"]), (400, "invalid_tensor", "IMAGE", "one value")),
    "no value": (image_with(data=[[]]), (400, "invalid_tensor", "IMAGE", "one value")),
    "a number for an image": (image_with(data=[1]), (400, "invalid_tensor", "IMAGE", IN_BASE64)),
    "no base64": (image_with(data=["photo.jpg"]), (400, "invalid_image", "IMAGE", IN_BASE64)),
    "an address": (image_with(data=["http://a/b.png"]), (400, "invalid_image", "IMAGE", IN_BASE64)),
    "a data URL without base64": (image_with(data=["data:image/png,A"]), (400, "invalid_image", "IMAGE", IN_BASE64)),
    "base64 of no image": (image_with(data=["aGVsbG8="]), (400, "invalid_image", "IMAGE", None)),
    "data that are no list": (image_with(data="AAAA"), (400, "malformed_body", f"{INPUTS}data", FIELDS)),
    "neither data nor bytes": (image_with(data=None), (400, "invalid_tensor", "IMAGE", EITHER)),
    "data and bytes": (image_with(parameters={"binary_data_size": 0}), (400, "invalid_tensor", "IMAGE", EITHER)),
    "shared memory": (
        image_with(parameters={"shared_memory_region": "a"}),
        (400, "unexpected_field", f"{INPUTS}parameters.shared_memory_region", FIELDS),
    ),
    "a number for a text": ([GIVEN[0], in_json("TEXT", 1)], (400, "invalid_tensor", "TEXT", "a text")),
    "a text too long": (
        [GIVEN[0], in_json("TEXT", "a" * 20_000)],
        (400, "invalid_text", "TEXT", "at most 10000 bytes of UTF-8"),
    ),
    "bytes that are no text": ([GIVEN[0], as_bytes("TEXT", b"\xff")], (400, "invalid_text", "TEXT", "UTF-8")),
    "bytes of no image": ([as_bytes("IMAGE", b"none"), GIVEN[1]], (400, "invalid_image", "IMAGE", None)),
    "a length that is not that of its value": (
        [(sized(8), struct.pack("<I", 5) + b"none"), GIVEN[1]],
        (400, "invalid_tensor", "IMAGE", ONE_VALUE),
    ),
    "two values in bytes": (
        [(sized(10), 2 * (struct.pack("<I", 1) + b"a")), GIVEN[1]],
        (400, "invalid_tensor", "IMAGE", ONE_VALUE),
    ),
    "too few bytes for a length": ([(sized(3), b"abc"), GIVEN[1]], (400, "invalid_tensor", "IMAGE", ONE_VALUE)),
    "no bytes": ([(sized(0), b""), GIVEN[1]], (400, "invalid_tensor", "IMAGE", ONE_VALUE)),
    "fewer bytes than it says": ([(sized(99), b"abc"), GIVEN[1]], (400, "malformed_body", HEADER, SUM)),
    "more bytes than it says": ([(sized(3), b"abcdef"), GIVEN[1]], (400, "malformed_body", HEADER, SUM)),
    "a huge size": ([sized(2**63), GIVEN[1]], (400, "malformed_body", HEADER, SUM)),
    "a negative size": ([sized(-1), GIVEN[1]], (400, "malformed_body", f"{INPUTS}parameters.binary_data_size", FIELDS)),
}
OUTPUTS = "HARMONIZED, MASK, SCORE, TRUNCATED"
MEMBERS = {
    "an unknown output": ({"outputs": [{"name": "no"}]}, ("unexpected_field", "no", OUTPUTS)),
    "an output twice": ({"outputs": [{"name": "MASK"}] * 2}, ("duplicate_field", "MASK", "once")),
    "a class count": (
        {"outputs": [{"name": "MASK", "parameters": {"classification": 2}}]},
        ("unexpected_field", "outputs.0.parameters.classification", FIELDS),
    ),
    "an unknown parameter": ({"parameters": {"priority": 1}}, ("unexpected_field", "parameters.priority", FIELDS)),
    "an unknown member": ({"input": []}, ("unexpected_field", "input", FIELDS)),
    "no time": ({"parameters": {"timeout": 0}}, ("malformed_body", "parameters.timeout", FIELDS)),
    "NaN for a time": ({"parameters": {"timeout": float("nan")}}, ("malformed_body", "parameters.timeout", FIELDS)),
    "more time than there is": (
        {"parameters": {"timeout": 10**10}},
        ("invalid_setting", "timeout", "more than 0 and at most 60 seconds"),
    ),
    "a long id": ({"id": "a" * 300}, ("malformed_body", "id", FIELDS)),
}
BODIES = {
    "nothing": (b"", None),
    "no JSON": (b"\xff\xfe", None),
    "a list": (b"[1]", None),
    "JSON that is cut short": (b'{"inputs":[', None),
    "a number of thousands of digits": (b'{"inputs":[],"id":%s}' % (b"9" * 5000), None),
    "half a character": (b'{"inputs":[],"id":"\\ud800"}', None),
    "many lists, one in another": (b"[" * 4096, None),
}
LENGTHS_OF_JSON = ("-1", "+2", "1e1", "0x2", "9" * 5000, "99999999999", "", "two", "\xb2")


@pytest.mark.parametrize(("inputs", "told"), REFUSED.values(), ids=REFUSED)
def test_an_input_that_is_not_as_it_is_declared_is_refused(http, inputs, told):
    found = refusal(ask(http, "segment_harmonize_ht", *inputs))
    assert found[:3] == told[:3]
    assert told[3] is None or found[3] == told[3]


@pytest.mark.parametrize(("members", "told"), MEMBERS.values(), ids=MEMBERS)
def test_a_member_of_a_request_that_is_not_allowed_is_refused(http, members, told):
    assert refusal(ask(http, "segment_harmonize_ht", *GIVEN, **members)) == (400, *told)


@pytest.mark.parametrize(("body", "field"), BODIES.values(), ids=BODIES)
def test_a_body_that_is_no_request_is_refused(http, body, field):
    answer = http.post("/v2/models/segment/infer", content=body)
    assert refusal(answer)[1:] in (("malformed_body", field, FIELDS), ("malformed_body", "id", FIELDS))


def test_json_of_many_parts_is_refused_before_it_is_parsed(http, facade):
    for part in (b"[", b"[],", b'{"a":'):
        answer = http.post("/v2/models/segment/infer", content=b'{"inputs":' + part * 500_000)
        assert refusal(answer) == (400, "malformed_body", None, PARTS)
    facade.wait_until(lambda: facade.service.memory.held == 0)


def test_a_body_of_one_byte_at_a_time_is_read_as_any_other(http, facade):
    body, length = body_of(as_bytes("IMAGE", encoded(photograph(200, 200))), GIVEN[1])
    assert len(body) > 30_000
    with Connection(facade) as connection:
        connection.head("/v2/models/segment/infer", f"{HEADER}: {length}", "Transfer-Encoding: chunked")
        connection.send(b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n")
        assert http.get("/v2/health/live").status_code == 200
        assert connection.status() == 200


@pytest.mark.parametrize("length", LENGTHS_OF_JSON)
def test_a_length_of_json_that_is_no_number_or_too_large_is_refused(facade, length):
    with Connection(facade) as connection:
        body, _ = body_of(*GIVEN)
        connection.send(
            b"POST /v2/models/segment/infer HTTP/1.1\r\nHost: localhost\r\n"
            + f"{HEADER}: {length}\r\nContent-Length: {len(body)}\r\n\r\n".encode("latin-1")
            + body
        )
        status, _, content = connection.answer()
        told = json.loads(content)
    assert (status, told["field"], told["allowed"]) == (400, HEADER, LENGTHS)


@pytest.mark.parametrize("beside", [-1, 1, 1_000_000])
def test_a_length_of_json_that_is_not_the_body_s_is_refused(http, beside):
    body, length = body_of(as_bytes("IMAGE", IMAGE), GIVEN[1])
    headers = {HEADER: str(length + beside)}
    found = refusal(http.post("/v2/models/segment/infer", content=body, headers=headers))
    assert found[:2] == (400, "malformed_body") and found[2] in (None, HEADER)


def test_a_setting_that_is_not_allowed_is_refused(diffusing_http, image, mask):
    given = [in_json("IMAGE", image), in_json("MASK", mask)]
    for setting, allowed in (
        (in_json("STEPS", 99, "INT32"), "a whole number from 1 to 50"),
        (in_json("STEPS", 10**400, "INT32"), "a whole number from 1 to 50"),
        (in_json("STEPS", True, "INT32"), "a whole number from 1 to 50"),
        (in_json("STEPS", {"a": 1}, "INT32"), "a whole number from 1 to 50"),
        (as_bytes("STEPS", b"\0\0\0\x80", "INT32"), "a whole number from 1 to 50"),
        (in_json("SAMPLER", "none"), "euler_ancestral, dpmpp_2m, ddim, heun, plms"),
        (in_json("TIMEOUT", float("nan"), "FP32"), "a number"),
        (as_bytes("TIMEOUT", struct.pack("<f", float("inf")), "FP32"), "a number"),
        (in_json("TIMEOUT", -1, "FP32"), "more than 0 and at most 600 seconds"),
    ):
        name = (setting[0] if isinstance(setting, tuple) else setting)["name"]
        answer = ask(diffusing_http, "diffharmony", *given, setting)
        assert refusal(answer) == (400, "invalid_setting", name, allowed)
    answer = ask(diffusing_http, "diffharmony", *given, as_bytes("STEPS", b"123", "INT32"))
    assert refusal(answer) == (400, "invalid_tensor", "STEPS", "4 bytes")
    assert refusal(ask(diffusing_http, "diffharmony", given[0]))[:3] == (400, "missing_field", "TEXT")


@pytest.mark.parametrize("name", ["chunk_png", "scan_jpeg", "tag_tiff"])
def test_a_hostile_file_is_refused_as_in_a_form(http, name):
    file = HOSTILE[name]()
    form = http.post("/v1/segment", files={"image": file}, data={"text": TEXT})
    answer = ask(http, "segment", as_bytes("IMAGE", file), GIVEN[1])
    assert answer.status_code == form.status_code
    if form.status_code != 200:
        assert answer.json()["type"] == form.json()["type"] and answer.json()["allowed"] == form.json()["allowed"]


def test_compressed_bodies_are_refused(http):
    answer = ask(http, "segment", *GIVEN, headers={"Content-Encoding": "gzip"})
    assert refusal(answer) == (415, "unsupported_media_type", "Content-Encoding", "identity")


def test_bodies_are_bounded_and_what_they_hold_is_counted(server):
    limits = Settings(triton_url=server.grpc_url, page=False, max_bytes=100_000, max_held_bytes=2**21)
    length = 100_000 * 4 // 3 + 4 + 2**20
    with running(limits) as facade:
        for header, largest in (((), length), ((f"{HEADER}: 10",), 10 + 100_004 + 2**20)):
            with Connection(facade) as connection:
                connection.head("/v2/models/segment/infer", *header, f"Content-Length: {largest + 1}")
                status, _, content = connection.answer()
                assert status == 413 and json.loads(content)["allowed"] == f"at most {largest} bytes"
        # As it came, and what is made of it.
        with Connection(facade) as connection:
            connection.head("/v2/models/segment/infer", f"Content-Length: {2**20 + 1000}")
            connection.send(b'{"id": "' + bytes(2**20 + 992))
            status, _, content = connection.answer()
            assert status == 503 and b"too_busy" in content
        facade.wait_until(lambda: facade.service.memory.held == 0)


PIPELINES = {each.name: each for each in catalogue(MODEL_REPOSITORIES).pipelines}
WHOLE, LENGTH = body_of(
    as_bytes("IMAGE", IMAGE), as_bytes("TEXT", b"ball"), id="1", parameters={"timeout": 9}, outputs=[{"name": "MASK"}]
)


@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True)
@given(
    changes=st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.binary(max_size=4), st.integers(0, 8)), max_size=6),
    length=st.sampled_from([LENGTH, LENGTH, LENGTH, None, 0, LENGTH - 1, len(WHOLE)]),
)
def test_whatever_is_changed_in_a_request_it_is_read_or_refused(changes, length):
    content = bytearray(WHOLE)
    for place, piece, left_out in changes:
        content[place : place + left_out] = piece
    pipeline = PIPELINES["segment_harmonize_ht"]
    body = Body(length)
    try:
        body.write(bytes(content))
        call = read(body, pipeline, Tensors.of(pipeline))
        assert isinstance(call.request.image, bytes)
    except (Problem, InvalidInput) as refused:
        assert refused.code and str(refused)
