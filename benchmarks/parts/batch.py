"""Cost by batch: each network on demo weights, with several samples per request."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import tritonclient.grpc as triton  # type: ignore[import-untyped]
from google.protobuf import text_format  # type: ignore[import-untyped]
from numpy.typing import NDArray
from tritonclient.grpc import model_config_pb2

from benchmarks.curves.growth import Growth
from benchmarks.curves.points import Points, measure_points
from benchmarks.subjects import network, text_guided_networks
from concord.instruments.memory import instances
from concord.instruments.networks import request_tensors, sample
from concord.server.embedded import EmbeddedServer, Ports
from concord.server.installation import MODEL_REPOSITORIES
from concord.variants import DEFAULT, variants

BATCHES = (1, 2, 4, 8)
GROWTH = Growth("batch", "Cost by batch", "Demo weights, one request with all samples to the network itself.", "sample")
section, charts = GROWTH.section, GROWTH.charts
Numbers = dict[str, Points]
"""By network."""


def measure(rounds: int = 9) -> Numbers:
    inputs = batch_inputs(max(BATCHES))
    with batching(list(inputs), max(BATCHES)) as server, triton.InferenceServerClient(server.grpc_url) as client:
        stubs = instances(server.processes())
        result = {}
        for name, tensors in inputs.items():
            calls = {
                each: infer(client, name, {key: value[:each] for key, value in tensors.items()}) for each in BATCHES
            }
            result[name] = measure_points(server.grpc_url, stubs[name], calls, rounds)
        return result


def batch_inputs(largest: int) -> dict[str, dict[str, NDArray[Any]]]:
    """The same sample, repeated, for each network."""
    known = variants(MODEL_REPOSITORIES)
    return {
        name: {tensor: value.repeat(largest, 0) for tensor, value in sample(known[name][DEFAULT]).items()}
        for name in (*text_guided_networks(), network("unet"))
    }


@contextmanager
def batching(names: Sequence[str], largest: int) -> Iterator[EmbeddedServer]:
    """A server of these models that accepts that many samples per request and waits for no second request."""
    with TemporaryDirectory() as folder:
        for name in names:
            source, target = MODEL_REPOSITORIES[0] / name, Path(folder, name)
            target.mkdir()
            (target / "1").symlink_to(source / "1")
            config = text_format.Parse((source / "config.pbtxt").read_text(), model_config_pb2.ModelConfig())
            config.max_batch_size = largest
            config.ClearField("dynamic_batching")
            (target / "config.pbtxt").write_text(text_format.MessageToString(config))
        with EmbeddedServer([Path(folder)], ports=Ports(0, 0, 0)) as server:
            yield server


def infer(client: triton.InferenceServerClient, model: str, feeds: dict[str, NDArray[Any]]) -> Callable[[], object]:
    """A call of one model."""
    inputs = request_tensors(feeds)
    return lambda: client.infer(model, inputs)
