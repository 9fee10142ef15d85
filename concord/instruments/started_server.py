"""Servers that are started for one measurement."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tritonclient.grpc import InferenceServerClient  # type: ignore[import-untyped]

from concord.server.embedded import EmbeddedServer, Ports
from concord.variants import DEFAULT, Variant

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


@contextmanager
def serving_variants(chosen: Mapping[str, Variant], repositories: Iterable[Path] = ()) -> Iterator[EmbeddedServer]:
    """A server of variants of networks, by model, and of everything else in the repositories; see `serving`."""
    with TemporaryDirectory() as folder:
        repository = Path(folder)
        for model, variant in chosen.items():
            (repository / model).mkdir()
            (repository / model / "config.pbtxt").symlink_to(variant.config.resolve())
            (repository / model / variant.version.name).symlink_to(variant.version.resolve())
        for other in (other for each in repositories for other in each.iterdir() if other.is_dir()):
            if other.name not in chosen:
                (repository / other.name).symlink_to(other.resolve())
        with serving([repository]) as server:
            yield server


def served_config(grpc_url: str, model: str) -> dict[str, Any]:
    """A model's configuration as the server runs it, in Triton's JSON form."""
    with InferenceServerClient(grpc_url) as client:
        config: dict[str, Any] = client.get_model_config(model, as_json=True)["config"]
        return config
