from collections.abc import Iterator

import httpx
import pytest

from facade.settings import Settings
from tests.facade.gated import Gated, gated
from tests.facade.running import PATIENCE, Facade, running
from tests.serving.pictures import encoded, middle, photograph

WIDTH, HEIGHT = 96, 72


@pytest.fixture(scope="session")
def facade(server) -> Iterator[Facade]:
    """The facade in front of the real server with the project's models, without the page."""
    with running(Settings(triton_url=server.grpc_url, page=False)) as facade:
        yield facade


@pytest.fixture(scope="session")
def http(facade) -> Iterator[httpx.Client]:
    """A client of that facade."""
    with httpx.Client(base_url=facade.url, timeout=PATIENCE) as client:
        yield client


@pytest.fixture(scope="session")
def image() -> bytes:
    """A small photograph, as PNG."""
    return encoded(photograph(WIDTH, HEIGHT))


@pytest.fixture(scope="session")
def mask() -> bytes:
    """The middle of it."""
    return encoded(middle(WIDTH, HEIGHT))


@pytest.fixture(scope="session")
def _gated(tmp_path_factory) -> Iterator[Gated]:
    with gated(tmp_path_factory.mktemp("gated")) as running:
        yield running


@pytest.fixture
def gate(_gated) -> Iterator[Gated]:
    """A facade whose Triton answers when the test opens the gate."""
    _gated.close()
    try:
        yield _gated
    finally:
        _gated.open()
        _gated.wait_for(0, 0)


@pytest.fixture(scope="session")
def diffusing_facade(diffusing) -> Iterator[Facade]:
    """The facade in front of it."""
    with running(Settings(triton_url=diffusing.grpc_url, page=False)) as facade:
        yield facade


@pytest.fixture(scope="session")
def diffusing_http(diffusing_facade) -> Iterator[httpx.Client]:
    """A client of that facade."""
    with httpx.Client(base_url=diffusing_facade.url, timeout=PATIENCE) as client:
        yield client
