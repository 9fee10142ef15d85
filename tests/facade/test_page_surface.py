import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from facade.access.cookie import COOKIE
from facade.page.folder import Folder
from facade.problems import Problem
from facade.settings import Settings
from tests.facade.running import Facade, running
from tests.facade.sending import problem
from tests.facade.visitor import Visitor, file_at

KEY = "a-key-for-the-page"
NOWHERE = "127.0.0.1:9"


@pytest.fixture(scope="module")
def paged() -> Iterator[Facade]:
    """The page with keys and without a Triton."""
    with running(Settings(triton_url=NOWHERE, api_keys=KEY)) as facade:
        yield facade


@pytest.fixture
def person(paged) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=paged.url) as client:
        yield client


def sign_in(person: httpx.Client, key: str = KEY) -> httpx.Response:
    return person.post("/sign-in", data={"key": key})


@pytest.mark.parametrize(
    "path",
    [
        "/config",
        "/theme.css",
        "/assets/x.js",
        "/gradio_api/info",
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/queue/data",
    ],
)
def test_a_stranger_sees_nothing_of_the_page(person, path):
    refused = person.get(path)
    assert refused.status_code == 401 and refused.json()["type"] == "urn:concord:problem:unauthorized"


def test_a_session_is_a_cookie_that_scripts_and_other_sites_do_not_get(person):
    answer = sign_in(person)
    assert answer.status_code == 303 and answer.headers["location"] == "/"
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=") and "HttpOnly" in cookie and "SameSite=strict" in cookie
    assert KEY not in cookie
    assert person.get("/").status_code == 200


def test_who_signs_out_is_a_stranger_again(person):
    sign_in(person)
    session = person.cookies[COOKIE]
    assert person.get("/sign-out").status_code == 303
    assert person.get("/config", headers={"Cookie": f"{COOKIE}={session}"}).status_code == 401


@pytest.mark.parametrize("key", ["", "a guess", "é", "x" * 10_000], ids=["none", "wrong", "not_ascii", "long"])
def test_a_wrong_key_gets_the_form_again(person, key):
    answer = sign_in(person, key)
    assert answer.status_code == 401 and "This key is not accepted." in answer.text and COOKIE not in person.cookies


def test_a_session_of_the_page_is_no_key_for_the_api(person):
    sign_in(person)
    assert person.get("/v1/models").status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/proxy=https://example.org/",
        "/gradio_api/process_recording",
        "/gradio_api/component_server",
        "/gradio_api/call/look",
        "/gradio_api/run/predict",
        "/gradio_api/vibe-code",
        "/monitoring",
        "/docs",
        "/anything",
    ],
)
def test_what_gradio_can_do_beyond_the_page_is_not_there(person, path):
    sign_in(person)
    for method in ("GET", "POST"):
        answer = person.request(method, path)
        assert answer.status_code == 404 and answer.headers["content-type"] == "application/problem+json"


def test_files_of_the_machine_are_not_served(person):
    sign_in(person)
    assert person.get("/gradio_api/file=/etc/passwd").status_code == 403
    assert person.get("/gradio_api/file=pyproject.toml").status_code == 404


@pytest.fixture(scope="module")
def open_page() -> Iterator[Facade]:
    """The page without keys and without a Triton."""
    with running(Settings(triton_url=NOWHERE)) as facade:
        yield facade


def test_a_file_that_was_not_uploaded_is_not_opened(open_page, tmp_path, image):
    private = tmp_path / "private.png"
    private.write_bytes(image)
    with httpx.Client(base_url=open_page.url) as person:
        tab = Visitor(person)
        assert problem(tab.join("drop", "upload", file_at(str(private))))[:2] == (400, "invalid_image")
        tab.join("drop", "upload", tab.upload(image))
        assert "photograph.jpg" in tab.told()


def test_a_link_out_of_the_folder_is_not_followed(tmp_path):
    folder = Folder()
    try:
        (folder.path / "link.png").symlink_to(tmp_path / "private.png")
        for foreign in (folder.path / "link.png", folder.path / ".." / "private.png", Path("/dev/zero")):
            with pytest.raises(Problem, match="was not sent to this page"):
                folder.holding(foreign)
        assert folder.holding(folder.write("mine.png", b"")).name == "mine.png"
    finally:
        folder.remove()


def test_a_file_over_the_limit_is_not_taken():
    with running(Settings(triton_url=NOWHERE, max_bytes=1000)) as facade, httpx.Client(base_url=facade.url) as person:
        answer = person.post("/gradio_api/upload", files={"files": bytes(2000)})
        assert answer.status_code == 413


def test_the_server_asks_nobody_for_the_page():
    """Neither when it is imported nor when it is mounted and served."""
    program = f"""
import json, sys
asked = []
def note(event, args):
    if event in ("socket.getaddrinfo", "socket.connect") :
        asked.append(repr(args[0] if event == "socket.getaddrinfo" else args[1]))
sys.addaudithook(note)
from fastapi.testclient import TestClient
from facade.app import create_app
from facade.settings import Settings
with TestClient(create_app(Settings(triton_url="{NOWHERE}")), base_url="http://localhost") as person:
    assert person.get("/").status_code == 200
print(json.dumps([each for each in asked if "127.0.0.1" not in each and "socket" not in each]))
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=os.environ, check=True)
    assert json.loads(ended.stdout.splitlines()[-1]) == []
