import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from concord.server.embedded import EmbeddedServer, Ports
from tests.databases import ALL, Database, name
from tests.needs import needs, needs_torch


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Where torch is not wanted, modules that import it are not even imported: it need not be installed."""
    unwanted = "not torch" in config.option.markexpr and collection_path.match("test_*.py")
    return True if unwanted and needs_torch(collection_path) else None


def pytest_itemcollected(item: pytest.Item) -> None:
    """Marks a test with what it needs: nobody has to think of it."""
    assert isinstance(item, pytest.Function)
    fixtures = [each.func for same in item._fixtureinfo.name2fixturedefs.values() for each in same]
    for need in needs([item.function, *fixtures]):
        item.add_marker(need)
    if needs_torch(item.path):
        item.add_marker("torch")


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory) -> Iterator[None]:
    """A cache folder of the tests' own, since many of their networks are soon gone."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def closed_url() -> Iterator[str]:
    """An address at which nothing listens, and nothing else will while the test runs."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedServer]:
    """The real server with the project's models, on free ports of loopback."""
    with EmbeddedServer(ports=Ports(0, 0, 0)) as running:
        yield running


@pytest.fixture(scope="module", params=ALL, ids=name)
def database(request, tmp_path_factory) -> Iterator[Database]:
    """Each kind of database that a store can be in, running."""
    database: Database = request.param(tmp_path_factory.mktemp("database"))
    try:
        database.start()
        yield database
    finally:
        database.remove()


@pytest.fixture(scope="session")
def diffusing(tmp_path_factory) -> Iterator[EmbeddedServer]:
    """The real server with the diffusion models on tiny networks, a step of which takes some milliseconds."""
    # They are exported by torch, which takes seconds to import and which few rooms need.
    from tests.serving.generating_networks import link_generating
    from tests.serving.tiny_networks import OPEN, link_segmenting, unet, write_loops, write_networks

    repository = tmp_path_factory.mktemp("models")
    link_segmenting(repository)
    write_networks(repository, unet=unet(layers=6))
    write_loops(repository, **OPEN)
    link_generating(repository)
    with EmbeddedServer([repository], ports=Ports(0, 0, 0)) as running:
        yield running
