from collections.abc import Iterator

import pytest

from concord.server import EmbeddedServer, Ports
from tests.serving.tiny_networks import link_segmenting, unet, write_loops, write_networks


@pytest.fixture(scope="session")
def diffusing(tmp_path_factory) -> Iterator[EmbeddedServer]:
    """The real server with the diffusion models on tiny networks, a step of which takes some milliseconds."""
    repository = tmp_path_factory.mktemp("models")
    link_segmenting(repository)
    write_networks(repository, unet=unet(layers=6))
    write_loops(repository)
    with EmbeddedServer([repository], ports=Ports(0, 0, 0)) as running:
        yield running
