"""Bodies that are too large, too slow, cut short or not what they say."""

import os
import sys
import tracemalloc

import pytest

from concord_client.tasks.harmonize import Harmonize
from facade.routes.tasks import form_of as form_of_task
from facade.settings import Settings
from facade.wire.forms import Parts
from tests.facade.running import running
from tests.facade.sending import Connection, fill, form_of, problem
from tests.serving.pictures import encoded, middle, photograph

MAX_BYTES = 200_000
BODY = 2 * MAX_BYTES + 2**20
READ_SECONDS = 0.5


@pytest.fixture(scope="module")
def small(server):
    """A facade with small limits."""
    settings = Settings(
        triton_url=server.grpc_url,
        page=False,
        max_bytes=MAX_BYTES,
        max_held_bytes=3 * 2**20,
        read_timeout=READ_SECONDS,
    )
    with running(settings) as facade:
        yield facade


@pytest.fixture
def connection(small):
    with Connection(small) as connection:
        yield connection


CHUNKED = ("Content-Type: multipart/form-data; boundary=b", "Transfer-Encoding: chunked")
IMAGE_PART = b'--b\r\nContent-Disposition: form-data; name="image"; filename="i"\r\n\r\n'


def held(facade) -> int:
    return facade.call(lambda: facade.service.memory.held)


def test_a_file_is_in_memory_once_while_it_is_read():
    size, piece = 2**25, bytes(2**18)
    parts = Parts(form_of_task(Harmonize), CHUNKED[0].partition(": ")[2], size, None)
    parts.write(IMAGE_PART)
    tracemalloc.start()
    try:
        for _ in range(size // len(piece)):
            parts.write(piece)
        parts.write(b"\r\n--b--\r\n")
        assert len(parts.values()["image"]) == size
        assert tracemalloc.get_traced_memory()[1] < 1.5 * size
    finally:
        tracemalloc.stop()


def test_a_length_over_the_limit_is_refused_before_the_body_is_asked_for(connection):
    kind = "Content-Type: multipart/form-data; boundary=b"
    connection.head("/v1/harmonize", kind, f"Content-Length: {BODY + 1}", "Expect: 100-continue")
    status, headers, body = connection.answer()
    assert status == 413 and b"request_too_large" in body and str(BODY).encode() in body
    assert headers["connection"] == "close"


def test_bytes_without_a_length_are_counted_as_they_arrive(connection, small):
    connection.head("/v1/harmonize", *CHUNKED)
    connection.chunk(IMAGE_PART)
    for _ in range(MAX_BYTES // 50_000 + 1):
        connection.chunk(bytes(50_000))
    # The end of the body is never sent.
    status, headers, body = connection.answer()
    assert status == 413 and b"image_too_large" in body and b'"field":"image"' in body
    assert headers["connection"] == "close" and connection.is_closed()
    small.wait_until(lambda: small.service.memory.held == 0)


def test_many_small_parts_do_not_get_past_the_limit(connection):
    connection.head("/v1/harmonize", *CHUNKED)
    connection.chunk(b'--b\r\nContent-Disposition: form-data; name="text"\r\n\r\n' + bytes(70_000))
    status, _, body = connection.answer()
    assert status == 413 and b"request_too_large" in body and b'"field":"text"' in body


def test_a_chunked_form_is_answered_as_any_other(connection, image, mask):
    request = form_of({"image": image, "mask": mask})
    body = request.read()
    connection.head("/v1/harmonize", f"Content-Type: {request.headers['content-type']}", CHUNKED[1])
    for start in range(0, len(body), 1000):
        connection.chunk(body[start : start + 1000])
    connection.send(b"0\r\n\r\n")
    assert connection.status() == 200


def test_a_form_in_seven_hundred_thousand_chunks_is_answered_as_any_other(facade, http):
    """They end Triton, whose HTTP port is closed for such reasons."""
    request = form_of({"image": encoded(photograph(640, 360), "BMP"), "mask": encoded(middle(640, 360))})
    body = request.read()
    assert len(body) > 690_000
    with Connection(facade) as connection:
        connection.head("/v1/harmonize", f"Content-Type: {request.headers['content-type']}", CHUNKED[1])
        connection.send(b"".join(b"1\r\n%c\r\n" % byte for byte in body))
        assert http.get("/healthz").status_code == 200
        connection.send(b"0\r\n\r\n")
        assert connection.status() == 200


def test_who_sends_too_slowly_is_told_so(connection, small):
    connection.head("/v1/harmonize", *CHUNKED)
    connection.chunk(IMAGE_PART)
    status, headers, body = connection.answer()
    assert status == 408 and b"request_timeout" in body and headers["connection"] == "close"
    assert held(small) == 0


def test_a_body_that_ends_before_its_last_boundary_is_refused(connection):
    connection.head("/v1/harmonize", CHUNKED[0], f"Content-Length: {len(IMAGE_PART) + 3}")
    connection.send(IMAGE_PART + b"abc")
    status, _, body = connection.answer()
    assert status == 400 and b"malformed_body" in body


def test_who_leaves_in_the_middle_of_a_body_leaves_nothing(small):
    with Connection(small) as connection:
        connection.head("/v1/harmonize", CHUNKED[0], "Content-Length: 100000")
        connection.send(IMAGE_PART + bytes(1000))
        small.wait_until(lambda: small.service.memory.held > 1000, "what arrives is counted")
    small.wait_until(lambda: small.service.memory.held == 0, "what nobody waits for is given back")


def test_all_bodies_together_are_bounded(small, image, mask):
    fill(small, 3 * 2**20, "/v1/harmonize", IMAGE_PART, bytes(MAX_BYTES - 1000), *CHUNKED)
    small.wait_until(lambda: small.service.memory.held == 0)
    with Connection(small) as connection:
        connection.post(form_of({"image": image, "mask": mask}))
        assert connection.status() == 200


@pytest.mark.parametrize(
    ("part", "code"),
    [
        (b"Content-Disposition: form-data\r\n\r\nx", b"malformed_body"),
        (b"Content-Type: image/png\r\n\r\nx", b"malformed_body"),
        (b'Content-Disposition: form-data; name="\xff\xfe"\r\n\r\nx', b"unexpected_field"),
        (b'Content-Disposition: form-data; name="text"\r\n\r\n\xff\xfe', b"invalid_text"),
        (b'Content-Disposition: form-data; name="steps"\r\n\r\n\xff\xfe', b"invalid_setting"),
        (b"X: " + 5000 * b"y" + b"\r\n\r\nx", b"malformed_body"),
        (100 * b"X: y\r\n" + b"\r\nx", b"malformed_body"),
        (b"no header at all", b"malformed_body"),
    ],
    ids=["no name", "no disposition", "odd name", "odd text", "odd number", "long header", "many headers", "no header"],
)
def test_a_part_that_cannot_be_is_refused(connection, part, code):
    body = b"--b\r\n" + part + b"\r\n--b--\r\n"
    connection.head("/v1/harmonize", CHUNKED[0], f"Content-Length: {len(body)}")
    connection.send(body)
    status, _, answer = connection.answer()
    assert status == 400 and code in answer


def test_a_connection_goes_on_after_a_small_refusal(connection, image, mask):
    connection.post(form_of({"image": b"no picture", "mask": mask}))
    assert connection.status() == 400
    connection.post(form_of({"image": image, "mask": mask}))
    assert connection.status() == 200


def test_a_client_that_sends_everything_first_reads_why_it_was_refused(small):
    import httpx

    answer = httpx.post(f"{small.url}/v1/harmonize", files={"image": bytes(MAX_BYTES + 1)})
    assert problem(answer) == (413, "image_too_large", "image", f"at most {MAX_BYTES} bytes")


def test_no_upload_is_written_to_disk(http):
    """Audited: every file that this process, the facade in it, opens to write while it answers."""
    opened: list[str] = []
    watching = True

    def audit(event: str, arguments: tuple) -> None:
        if watching and event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            opened.append(arguments[0])

    sys.addaudithook(audit)
    large = encoded(photograph(1600, 1200))
    assert len(large) > 2 * 2**20
    answer = http.post("/v1/harmonize", files={"image": large}, data={"text": "x"})
    watching = False
    assert answer.status_code == 200 and opened == []
