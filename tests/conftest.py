from collections.abc import Iterator

import pytest

from concord.server import EmbeddedServer, Ports


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedServer]:
    """The real server with the project's models, on free ports of loopback."""
    with EmbeddedServer(ports=Ports(0, 0, 0)) as running:
        yield running
