"""Servers that are started for one measurement."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tritonclient.grpc import InferenceServerClient  # type: ignore[import-untyped]

from concord.server.embedded import EmbeddedServer, Ports
from concord.variants import DEFAULT

START_SECONDS = 900.0  # networks of published sizes are compiled and warmed up


@contextmanager
def serving(repositories: Iterable[Path], profile: str = DEFAULT) -> Iterator[EmbeddedServer]:
    """A server of a profile on free ports. It stops without draining, because all answers have arrived by then.

    Raises:
        ServerFailure: it could not be started.
    """
    name = "" if profile == DEFAULT else profile
    with EmbeddedServer(
        repositories, ports=Ports(0, 0, 0), model_config_name=name, start_seconds=START_SECONDS
    ) as server:
        yield server
        server.stop(drain=False)


def served_config(grpc_url: str, model: str) -> dict[str, Any]:
    """A model's configuration as the server runs it, in Triton's JSON form."""
    with InferenceServerClient(grpc_url) as client:
        config: dict[str, Any] = client.get_model_config(model, as_json=True)["config"]
        return config
