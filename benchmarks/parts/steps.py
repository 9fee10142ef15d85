"""Cost by diffusion steps: a photograph with a mask, one client."""

from benchmarks.curves.growth import Growth
from benchmarks.curves.points import Points, measure_points
from benchmarks.floors.loop import asking
from concord.server.embedded import EmbeddedServer, Ports
from concord_client import Client

STEPS = (1, 2, 5, 10, 20, 50)
GROWTH = Growth(
    "steps", "Cost by diffusion steps", "Demo weights, DiffHarmony with a mask, 512x512 JPEG, one client.", "step"
)
section, charts = GROWTH.section, GROWTH.charts
Numbers = Points


def measure(rounds: int = 5) -> Numbers:
    with EmbeddedServer(ports=Ports(0, 0, 0)) as server, Client(server.grpc_url) as client:
        calls = {each: asking(client, {"steps": each}) for each in STEPS}
        return measure_points(server.grpc_url, server.processes(), calls, rounds)
