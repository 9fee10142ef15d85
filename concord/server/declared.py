"""The public pipelines of repositories on disk, as their configurations declare them."""

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]

from concord.errors import ServerFailure
from concord.server.exported import read_config, unexported
from concord_client.catalogue import Catalogue
from concord_client.errors import InvalidDeclaration


def catalogue(repositories: Iterable[Path], missing: Collection[str] | None = None) -> Catalogue:
    """The pipelines that a server with these repositories has.

    Args:
        repositories: folders of models.
        missing: models that are not served; None for those whose networks have not been exported.

    Raises:
        ServerFailure: names the configuration's file and the parameter that cannot be read, and what is allowed; or
            the two pipelines that claim the same.
    """
    repositories = list(repositories)
    missing = unexported(repositories) if missing is None else missing
    configs = dict(_configs(repositories))
    try:
        return Catalogue.of(configs.values(), configs.keys() - set(missing))
    except InvalidDeclaration as error:
        raise ServerFailure(f"{error.pipeline}/config.pbtxt", f"{error.key}: {error.problem}", error.allowed) from error


def _configs(repositories: Iterable[Path]) -> Iterator[tuple[str, dict[str, Any]]]:
    for repository in repositories:
        for path in sorted(repository.glob("*/config.pbtxt")):
            config = read_config(path, f"{path.parent.name}/{path.name}")
            # A configuration may leave its own name to its folder.
            yield path.parent.name, MessageToDict(config, preserving_proto_field_name=True) | {"name": path.parent.name}
