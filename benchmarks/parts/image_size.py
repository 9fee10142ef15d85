"""Cost by image size: text to harmonized photograph, one client."""

from collections.abc import Sequence

from benchmarks.curves.growth import Growth
from benchmarks.curves.points import Points, measure_points
from benchmarks.floors.text_guided import asking
from concord.scenes.encoded import scene_jpeg
from concord.server.embedded import EmbeddedServer, Ports
from concord_client import Client

MEGAPIXELS = (0.25, 1, 2, 4, 8, 12, 24)
GROWTH = Growth(
    "image_size",
    "Cost by image size",
    "Demo weights, text to harmonized photograph, JPEGs of 4:3, one client.",
    "megapixel",
)
section, charts = GROWTH.section, GROWTH.charts
Numbers = Points


def measure(rounds: int = 5) -> Numbers:
    with EmbeddedServer(ports=Ports(0, 0, 0)) as server, Client(server.grpc_url, timeout=300) as client:
        return by_image_size(server, client, MEGAPIXELS, rounds)


def by_image_size(server: EmbeddedServer, client: Client, megapixels: Sequence[float], rounds: int) -> Points:
    """Photographs of several sizes in megapixels."""
    calls = {each: asking(client, photograph(each), without=("mask",)) for each in megapixels}
    return measure_points(server.grpc_url, server.processes(), calls, rounds)


def photograph(megapixels: float) -> bytes:
    """A JPEG of 4:3."""
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    return scene_jpeg(height, round(height * 4 / 3))
