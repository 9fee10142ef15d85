"""Times of network variants in the real server, in milliseconds, one request at a time.

A server holds all networks of one profile, and one network runs at a time, so that the others' threads and memory do
not disturb it. Servers are restarted every round, forwards and backwards, so that a busy period affects all of them.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from google.protobuf import json_format  # type: ignore[import-untyped]
from numpy.typing import NDArray
from tritonclient.grpc import InferenceServerClient, model_config_pb2  # type: ignore[import-untyped]
from tritonclient.utils import InferenceServerException, triton_to_np_dtype  # type: ignore[import-untyped]

from concord.errors import ServerFailure
from concord.instruments.networks import request_tensors
from concord.instruments.started_server import serving
from concord.loops.request import RESOLUTIONS, Defaults
from concord.tuning.arrangement import arrange
from concord.variants import DEFAULT, Variant
from concord_client.diffusion import DIFFHARMONY

LEAST_REQUESTS = 3

Feeds = Mapping[str, NDArray[Any]]
Say = Callable[[str], object]


@dataclass
class Times:
    """Measured times.

    Attributes:
        milliseconds: by variant, the median of every round.
        problems: by variant, why it could not be served or asked.
    """

    milliseconds: dict[Variant, list[float]] = field(default_factory=dict)
    problems: dict[Variant, str] = field(default_factory=dict)

    def median(self, variant: Variant) -> float:
        """Median milliseconds of a variant's requests."""
        return float(np.median(self.milliseconds[variant]))


def time_variants(
    groups: Mapping[str, Iterable[Variant]], feeds: Mapping[str, Feeds], rounds: int, seconds: float, say: Say
) -> Times:
    """Times every variant in every round.

    Args:
        groups: variants that are served at the same time, by the profile's name.
        feeds: one sample of the inputs of every network, by its name.
        seconds: duration for one variant in a round; at least `LEAST_REQUESTS` requests.
        say: is called with a line for every server.
    """
    times = Times()
    order = list(groups.items())
    for number in range(rounds):
        for profile, group in order if number % 2 == 0 else reversed(order):
            say(f"round {number + 1} of {rounds}: {profile}")
            _visit([variant for variant in group if variant not in times.problems], feeds, seconds, times)
    for variant in times.problems:
        times.milliseconds.pop(variant, None)
    return times


def _visit(group: list[Variant], feeds: Mapping[str, Feeds], seconds: float, times: Times) -> None:
    if not group:
        return
    try:
        with TemporaryDirectory() as folder:
            repository = arrange(Path(folder), {variant.model: variant for variant in group})
            with serving([repository]) as server, InferenceServerClient(server.grpc_url) as client:
                for variant in group:
                    try:
                        spent = _time(client, variant.model, feeds[variant.model], seconds)
                        times.milliseconds.setdefault(variant, []).append(spent)
                    except InferenceServerException as error:
                        times.problems[variant] = f"cannot be asked: {error.message()}"
    except ServerFailure as failure:
        # A variant that does not load prevents the whole server from starting.
        if len(group) == 1:
            times.problems[group[0]] = f"cannot be served: {failure.problem}"
            return
        for variant in group:
            _visit([variant], feeds, seconds, times)


def _time(client: Any, model: str, feeds: Feeds, seconds: float) -> float:
    """Median milliseconds of a request; the first request does not count."""
    inputs = request_tensors(feeds)
    client.infer(model, inputs)
    spent: list[float] = []
    end = time.perf_counter() + seconds
    while len(spent) < LEAST_REQUESTS or time.perf_counter() < end:
        began = time.perf_counter()
        client.infer(model, inputs)
        spent.append((time.perf_counter() - began) * 1000)
    return float(np.median(spent))


def sample(variant: Variant, resolution: int) -> Feeds:
    """One sample of a network's inputs: black and white noise (valid as a mask, too), normal floats, zeros for tokens.

    Args:
        resolution: side in pixels of the square on which the diffusion's networks work; free sizes follow it.

    Raises:
        ServerFailure: the configuration has no warm-up, from which the sizes at the smallest resolution are read.
    """
    config = variant.settings
    if not config.model_warmup:
        raise ServerFailure(f"{variant.model}/{variant.config.name}", "it has no model_warmup to take sizes from")
    generator = np.random.default_rng(0)
    feeds: dict[str, NDArray[Any]] = {}
    for tensor in config.input:
        warm = config.model_warmup[0].inputs[tensor.name].dims
        sides = zip(tensor.dims, warm, strict=True)
        shape = [1, *(size if size > 0 else given * resolution // RESOLUTIONS[0] for size, given in sides)]
        name = model_config_pb2.DataType.Name(tensor.data_type).removeprefix("TYPE_")
        match name:
            case "UINT8":
                feeds[tensor.name] = generator.integers(0, 2, shape, np.uint8) * np.uint8(255)
            case "FP32":
                feeds[tensor.name] = generator.standard_normal(shape, np.float32)
            case _:
                feeds[tensor.name] = np.zeros(shape, triton_to_np_dtype(name))
    return feeds


def default_resolution(repositories: Iterable[Path]) -> int:
    """Pixels of the square that the diffusion works on where a request does not say it.

    Raises:
        InvalidParameter: its configuration has another.
    """
    for repository in repositories:
        loop = Variant(DIFFHARMONY, DEFAULT, repository / DIFFHARMONY / "config.pbtxt")
        if loop.config.is_file():
            config = json_format.MessageToDict(loop.settings, preserving_proto_field_name=True)
            return Defaults.from_config(config).resolution
    return RESOLUTIONS[0]
