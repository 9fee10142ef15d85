"""What repositories on disk declare, and which of their models can be served.

Those can whose networks have been exported, and what is built on them.
"""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from google.protobuf import json_format  # type: ignore[import-untyped]
from tritonclient.grpc import model_config_pb2  # type: ignore[import-untyped]

from concord.errors import ServerFailure
from concord.repository import pbtxt
from concord_client.catalogue import Catalogue, Pipeline
from concord_client.errors import InvalidDeclaration


def catalogue(repositories: Iterable[Path], missing: Collection[str] | None = None) -> Catalogue:
    """The pipelines that a server with these repositories has.

    Args:
        missing: models that are not served; None for those whose networks have not been exported.

    Raises:
        ServerFailure: names the configuration's file and the parameter that cannot be read, and what is allowed; or
            the two pipelines that claim the same.
    """
    repositories = list(repositories)
    missing = unexported(repositories) if missing is None else missing
    paths = [path for repository in repositories for path in sorted(repository.glob("*/config.pbtxt"))]
    named = [(path.parent.name, pbtxt.read(path, f"{path.parent.name}/{path.name}")) for path in paths]
    configs = {name: _json(config, name) for name, config in named}
    try:
        return Catalogue.of(configs.values(), configs.keys() - set(missing))
    except InvalidDeclaration as error:
        raise _refused(error) from error


def unexported(repositories: Iterable[Path]) -> set[str]:
    """Names of the models that have a configuration but no network file, and of all that cannot do without them.

    And of the Python models that only these ask: a process of each would be of no use.

    Raises:
        ServerFailure: a configuration cannot be read (names file and parameter), or there is nothing left to serve.
    """
    missing, helpers, needs = set(), set(), {}
    for folder in (folder for repository in repositories for folder in repository.iterdir() if folder.is_dir()):
        path = folder / "config.pbtxt"
        if not path.is_file():
            continue
        config = pbtxt.read(path, f"{folder.name}/{path.name}")
        if config.default_model_filename and not any(folder.glob(f"[0-9]*/{config.default_model_filename}")):
            missing.add(folder.name)
        if config.backend == "python" and not config.default_model_filename and "task" not in config.parameters:
            helpers.add(folder.name)
        needs[folder.name] = _runs(config, folder.name, needed=True)
    while dependents := {name for name, needed in needs.items() if needed & missing} - missing:
        missing |= dependents
    if missing and not needs.keys() - missing:
        raise ServerFailure("model repository", f"no network has been exported: {', '.join(sorted(missing))}")
    askers = {helper: {name for name, needed in needs.items() if helper in needed} for helper in helpers}
    return missing | {helper for helper, names in askers.items() if names and names <= missing}


def runs(repositories: Iterable[Path], missing: Collection[str]) -> dict[str, frozenset[str]]:
    """By each model that is not missing, those of the others that it runs, also those that it can do without."""
    paths = [path for repository in repositories for path in repository.glob("*/config.pbtxt")]
    found = {path.parent.name: path for path in paths if path.parent.name not in missing}
    return {
        name: _runs(pbtxt.read(path, f"{name}/{path.name}"), name, needed=False) & found.keys()
        for name, path in found.items()
    }


def _runs(config: model_config_pb2.ModelConfig, name: str, *, needed: bool) -> frozenset[str]:
    """The models that a model runs; or those that are needed, without which it cannot answer any request."""
    try:
        pipeline = Pipeline.of(_json(config, name))
    except InvalidDeclaration as error:
        raise _refused(error) from error
    steps = frozenset(step.model_name for step in config.ensemble_scheduling.step)
    if pipeline is None:
        return steps
    return steps | (pipeline.models() if needed else frozenset(part.model for part in pipeline.parts.values()))


def _json(config: model_config_pb2.ModelConfig, name: str) -> dict[str, Any]:
    """A configuration in Triton's JSON form, which may leave its own name to its folder."""
    return {**json_format.MessageToDict(config, preserving_proto_field_name=True), "name": name}


def _refused(error: InvalidDeclaration) -> ServerFailure:
    """A declaration that cannot be read: its file, its parameter and what is allowed."""
    return ServerFailure(f"{error.pipeline}/config.pbtxt", f"{error.key}: {error.problem}", error.allowed)
