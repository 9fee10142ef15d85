from collections.abc import Iterator

import pytest

from concord.server.embedded import EmbeddedServer, Ports


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedServer]:
    """The real server with the project's models, on free ports of loopback."""
    with EmbeddedServer(ports=Ports(0, 0, 0)) as running:
        yield running


@pytest.fixture(scope="session")
def diffusing(tmp_path_factory) -> Iterator[EmbeddedServer]:
    """The real server with the diffusion models on tiny networks, a step of which takes some milliseconds."""
    # They are exported by torch, which takes seconds to import and which few rooms need.
    from tests.serving.tiny_networks import link_segmenting, unet, write_loops, write_networks

    repository = tmp_path_factory.mktemp("models")
    link_segmenting(repository)
    write_networks(repository, unet=unet(layers=6))
    write_loops(repository)
    with EmbeddedServer([repository], ports=Ports(0, 0, 0)) as running:
        yield running
