"""The page, which takes every path that is left, does not hide what the API has to say of its own."""

import httpx
import pytest

from facade.settings import Settings
from tests.facade.running import running
from tests.facade.sending import problem


@pytest.fixture(scope="module")
def http():
    """A client of a facade with the page; its Triton is not there."""
    with running(Settings(triton_url="127.0.0.1:9")) as facade, httpx.Client(base_url=facade.url) as client:
        yield client


@pytest.mark.parametrize(
    ("method", "path", "expected", "allow"),
    [
        ("GET", "/v1/nothing", (404, "not_found"), None),
        ("GET", "/v1/harmonize", (405, "method_not_allowed"), "POST"),
        ("POST", "/healthz", (405, "method_not_allowed"), "GET"),
    ],
)
def test_wrong_paths_and_methods_are_problems(http, method, path, expected, allow):
    answer = http.request(method, path)
    assert problem(answer)[:2] == expected and answer.headers.get("allow") == allow


def test_the_page_is_there(http):
    assert http.get("/").headers["content-type"].startswith("text/html")
