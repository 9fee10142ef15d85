"""The public pipelines of repositories on disk, as their configurations declare them."""

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from concord.repository import pbtxt
from concord.server.exported import config_json, refused, unexported
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
        raise refused(error) from error


def _configs(repositories: Iterable[Path]) -> Iterator[tuple[str, dict[str, Any]]]:
    for repository in repositories:
        for path in sorted(repository.glob("*/config.pbtxt")):
            name = path.parent.name
            yield name, config_json(pbtxt.read(path, f"{name}/{path.name}"), name)
