"""What a stranger sends to the page in place of a browser: it reaches no file and no host, and nothing of it stays."""

import io
import sys
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
from PIL import Image

from concord_client import Harmonize
from facade.page import sessions as kept_sessions
from facade.page.marks import COLOUR
from facade.settings import Settings
from tests.facade.gated import MODEL, gated
from tests.facade.running import PATIENCE, Facade, running
from tests.facade.sending import Connection, fill, problem
from tests.facade.visitor import Visitor, file_at, sessions_of

MAX_BYTES = 300_000
UPLOAD = MAX_BYTES + 2**20
EVENT = 2**16
CHUNKED = ("Transfer-Encoding: chunked",)
FORM = "Content-Type: multipart/form-data; boundary=b"
JSON = "Content-Type: application/json"
FILE = b'--b\r\nContent-Disposition: form-data; name="files"; filename="i.png"\r\n\r\n'
TEXT = b'--b\r\nContent-Disposition: form-data; name="files"\r\n\r\n'
POSTS = {"/gradio_api/upload": FORM, "/gradio_api/queue/join": JSON, "/gradio_api/cancel": JSON}


@pytest.fixture(scope="module")
def paged(server) -> Iterator[Facade]:
    """The page with small limits."""
    settings = Settings(
        triton_url=server.grpc_url, max_bytes=MAX_BYTES, max_held_bytes=3 * 2**20, read_timeout=0.5, queue=0
    )
    with running(settings) as facade:
        yield facade


@pytest.fixture
def http(paged) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=paged.url, timeout=PATIENCE) as client:
        yield client
    paged.wait_until(lambda: paged.service.memory.held == 0, "nothing of it is held")


@pytest.fixture
def lookups() -> Iterator[list[str]]:
    """Names that this process, the facade in it, looks up, and addresses outside of it that it calls."""
    found: list[str] = []
    watching = True

    def audit(event: str, arguments: tuple) -> None:
        if watching and event == "socket.getaddrinfo":
            found.append(str(arguments[0]))

    sys.addaudithook(audit)
    yield found
    watching = False


@pytest.mark.parametrize(
    "path", ["http://concord.invalid/i.png", "HTTPS://concord.invalid/i.png", "//concord.invalid/i"]
)
def test_nobody_else_is_asked_for_a_file(http, lookups, path):
    assert http.get(f"/gradio_api/file={path}").status_code in (403, 404)
    refused = Visitor(http).join("drop", "upload", file_at(path))
    assert problem(refused)[:2] == (400, "invalid_image")
    nested = {"background": None, "layers": [file_at(path)], "composite": file_at(path)}
    assert Visitor(http).join("fill", "click", None, nested).status_code == 400
    assert "concord.invalid" not in lookups


@pytest.mark.parametrize("path", ["/dev/zero", "/etc/passwd", "pyproject.toml", "", ".", "a\0b", "x" * 5000])
def test_a_path_of_the_machine_is_refused_before_anything_opens_it(http, path):
    assert problem(Visitor(http).join("drop", "upload", file_at(path)))[:2] == (400, "invalid_image")
    assert http.get("/healthz", timeout=5).status_code == 200


@pytest.mark.parametrize(
    "said",
    [b"", b"{", b"[]", b"\xff", b"[" * 60_000, b'{"data": [], "session_hash": 7}', b'{"session_hash": ""}'],
)
def test_what_no_browser_says_is_refused(http, said):
    assert problem(http.post("/gradio_api/queue/join", content=said))[:2] == (400, "malformed_body")


@pytest.mark.parametrize("path", POSTS)
def test_a_body_is_bounded_in_size(paged, http, path):
    largest = UPLOAD if path.endswith("upload") else EVENT
    with Connection(paged) as connection:
        connection.head(path, POSTS[path], f"Content-Length: {largest + 1}", "Expect: 100-continue")
        status, headers, body = connection.answer()
        assert status == 413 and str(largest).encode() in body and headers["connection"] == "close"
    with Connection(paged) as connection:
        connection.head(path, POSTS[path], *CHUNKED)
        connection.chunk(TEXT + bytes(largest))
        # The end of the body is never sent.
        assert connection.status() == 413


def test_the_files_of_an_upload_are_bounded_together(http):
    files = [("files", (f"{number}.png", bytes(MAX_BYTES - 1000))) for number in range(6)]
    assert http.post("/gradio_api/upload", files=files[:2]).status_code == 200
    assert problem(http.post("/gradio_api/upload", files=files))[:2] == (413, "request_too_large")


@pytest.mark.parametrize("path", POSTS)
def test_a_body_that_stops_is_given_up(paged, http, path):
    with Connection(paged) as connection:
        connection.head(path, POSTS[path], "Content-Length: 1000")
        connection.send(FILE)
        status, headers, body = connection.answer()
        assert status == 408 and b"request_timeout" in body and headers["connection"] == "close"


def test_a_key_that_does_not_end_is_given_up(server):
    with running(Settings(triton_url=server.grpc_url, api_keys="a-key", read_timeout=0.5)) as facade:
        with Connection(facade) as connection:
            connection.head("/sign-in", "Content-Type: application/x-www-form-urlencoded", "Content-Length: 10")
            connection.send(b"key=")
            assert connection.status() == 408
        # Who has not signed in is refused before a body is read.
        with Connection(facade) as connection:
            connection.head("/gradio_api/upload", FORM, "Content-Length: 1000")
            assert connection.status() == 401


def test_uploads_are_counted_with_everybody_elses(paged, http):
    fill(paged, 3 * 2**20, "/gradio_api/upload", FILE, bytes(MAX_BYTES - 1000), FORM, *CHUNKED)


def test_a_session_that_nobody_shows_makes_room_and_one_that_is_shown_stays(paged, http, monkeypatch):
    monkeypatch.setattr(kept_sessions, "MOST", 10)
    sessions, secret = sessions_of(paged), "what a person typed" * 1000
    holder = sessions._blocks.state_holder

    def strangers() -> None:
        for _ in range(15):
            assert Visitor(http).join("model", "input", secret, secret).status_code == 200
        assert len(sessions) <= 10

    person = Visitor(http)
    with http.stream("GET", f"/gradio_api/heartbeat/{person.session}") as shown:
        beats = shown.iter_raw()
        next(beats)
        person.join("model", "input", None, {})
        assert "process_completed" in person.told()
        strangers()
        assert person.session in holder.session_data and person.session in sessions._used
        kept = [str(state.config_values) for state in paged.call(lambda: list(holder.session_data.values()))]
        assert kept and not any(secret in each for each in kept)
        paged.call(lambda: sessions.sweep(kept_seconds=0))
        assert person.session in holder.session_data and len(sessions) == 1
    paged.wait_until(lambda: person.session not in sessions._shown)
    paged.call(lambda: sessions.sweep(kept_seconds=0))
    queue = sessions._blocks._queue
    assert not len(sessions) and person.session not in holder.session_data
    assert person.session not in queue.pending_event_ids_session


def test_answers_that_nobody_fetches_are_bounded(http):
    tab = Visitor(http)
    answers = [tab.join("again", "click") for _ in range(kept_sessions.MOST_UNREAD + 1)]
    assert all(answer.status_code == 200 for answer in answers[:-1])
    assert problem(answers[-1])[:2] == (503, "too_busy")
    assert "process_completed" in tab.told()
    assert tab.join("again", "click").status_code == 200


def marked(size: tuple[int, int]) -> bytes:
    """A layer of the editor with a mark in it."""
    layer = np.zeros((*size, 4), np.uint8)
    layer[10:20, 10:20] = (*COLOUR, 255)
    file = io.BytesIO()
    Image.fromarray(layer).save(file, "PNG")
    return file.getvalue()


def test_a_photograph_that_waits_is_counted(tmp_path, image):
    with gated(tmp_path, page=True) as gate, httpx.Client(base_url=gate.facade.url, timeout=PATIENCE) as http:
        gate.close()
        tab, memory = Visitor(http), gate.facade.app.state.service.memory
        assert tab.join("drop", "upload", tab.upload(image)).status_code == 200
        assert "photograph.jpg" in tab.told()
        with Image.open(io.BytesIO(image)) as picture:
            editor = {"background": None, "layers": [tab.upload(marked(picture.size[::-1]))], "composite": None}
        assert tab.join("press", "click", None, editor, Harmonize.TASK, "", MODEL, 1, False, {}).status_code == 200
        gate.wait_for(1, 0)
        assert gate.facade.call(lambda: memory.held) >= len(image)
        gate.open()
        assert "after.jpg" in tab.told()
        gate.facade.wait_until(lambda: memory.held == 0)


def test_a_cookie_is_secure_where_the_browser_came_by_https(server):
    public = "https://concord.example"
    settings = Settings(triton_url=server.grpc_url, api_keys="a-key", origins=(public,))
    with running(settings) as facade, httpx.Client(base_url=facade.url) as http:

        def cookie(headers: dict[str, str]) -> str:
            return http.post("/sign-in", data={"key": "a-key"}, headers=headers).headers["set-cookie"]

        assert "Secure" in cookie({"Origin": public, "Host": "concord.example"})
        assert "Secure" in cookie({}), "of a browser that does not say, the first address decides"
        assert "Secure" not in cookie({"Origin": facade.url})
