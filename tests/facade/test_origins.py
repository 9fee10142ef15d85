"""By which names the facade is reached, and that pages of other sites get nothing from it and start nothing in it."""

from collections.abc import Iterator

import httpx
import pytest

from facade.settings import Settings
from tests.facade.running import PATIENCE, Facade, running
from tests.facade.sending import Connection, problem

PUBLIC = "https://concord.example"


@pytest.fixture(scope="module")
def paged(server) -> Iterator[Facade]:
    """The facade with its page, behind a proxy of a name of its own."""
    with running(Settings(triton_url=server.grpc_url, origins=(PUBLIC,))) as facade:
        yield facade


@pytest.fixture
def visitor(paged) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=paged.url, timeout=PATIENCE) as client:
        yield client


@pytest.mark.parametrize("path", ["/v1/models", "/healthz", "/config", "/gradio_api/info", "/", "/nothing"])
@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "[::1", "a b"])
def test_a_name_that_somebody_lets_lead_here_is_not_answered(visitor, path, host):
    refused = visitor.get(path, headers={"Host": host})
    status, code, field, allowed = problem(refused)
    assert (status, code, field) == (421, "unknown_host", "Host") and "--origins" in allowed


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8080", "127.0.0.1:1", "[::1]:8080", "10.1.2.3", "concord.example"]
)
def test_its_own_names_are_answered(visitor, host):
    assert visitor.get("/v1/models", headers={"Host": host}).status_code == 200


def test_a_program_that_names_no_host_is_answered(paged):
    with Connection(paged) as connection:
        connection.send(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert connection.status() == 200


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://concord.example.evil"]
)
def test_pages_of_other_sites_start_nothing_and_read_nothing(visitor, image, mask, origin):
    said = {"Origin": origin}
    for answer in (
        visitor.post("/v1/harmonize", files={"image": image, "mask": mask}, headers=said),
        visitor.post("/gradio_api/queue/join", json={}, headers=said),
        visitor.get("/config", headers=said),
        visitor.get("/v1/models", headers=said),
        visitor.options("/gradio_api/upload", headers=said | {"Access-Control-Request-Method": "POST"}),
    ):
        status, code, field, _ = problem(answer)
        assert (status, code, field) == (403, "foreign_origin", "Origin")
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_form_of_another_site_is_refused_where_the_browser_says_so(visitor, image, mask, site):
    said = {"Sec-Fetch-Site": site}
    answer = visitor.post("/v1/harmonize", files={"image": image, "mask": mask}, headers=said)
    assert problem(answer)[:3] == (403, "foreign_origin", "Sec-Fetch-Site")
    assert visitor.get("/", headers=said | {"Sec-Fetch-Mode": "navigate"}).status_code == 200, (
        "a link leads to the page"
    )


def test_its_own_pages_are_answered(visitor, paged, image, mask):
    for headers in (
        {"Origin": paged.url, "Sec-Fetch-Site": "same-origin"},
        {"Origin": PUBLIC, "Host": "concord.example"},
        # A proxy may ask by another name than the browser.
        {"Origin": PUBLIC},
    ):
        answer = visitor.post("/v1/harmonize", files={"image": image, "mask": mask}, headers=headers)
        assert answer.status_code == 200


def test_the_page_allows_no_other_site_to_read_it(visitor):
    for path in ("/config", "/gradio_api/info", "/"):
        answer = visitor.get(path, headers={"Origin": PUBLIC, "Host": "concord.example"})
        assert answer.status_code == 200 and not [name for name in answer.headers if name.startswith("access-control")]
