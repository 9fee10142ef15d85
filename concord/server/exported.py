"""Which models of the repositories can be served: those whose networks have been exported, and what is built on them.

Triton refuses to start where one model cannot be loaded, so the others are shown to it in a folder of their own.
"""

from collections.abc import Iterable
from pathlib import Path

from google.protobuf import text_format  # type: ignore[import-untyped]
from tritonclient.grpc import model_config_pb2  # type: ignore[import-untyped]

from concord.errors import ServerFailure
from concord_client.catalogue import Part

_PART = "part."  # of the parameters in which a pipeline names the models that it runs


def unexported(repositories: Iterable[Path], model_config_name: str = "") -> set[str]:
    """Names of the models that have a configuration but no network file, and of all that cannot do without them.

    Args:
        model_config_name: the profile that is served, as for Triton's ``--model-config-name``.

    Raises:
        ServerFailure: a configuration cannot be read, or there is nothing left to serve.
    """
    missing, needs = set(), {}
    for folder in (folder for repository in repositories for folder in repository.iterdir() if folder.is_dir()):
        path = folder / "configs" / f"{model_config_name}.pbtxt"
        path = path if path.is_file() else folder / "config.pbtxt"
        if not path.is_file():
            continue
        config = read_config(path, f"{path.parent.name}/{path.name}")
        if config.default_model_filename and not any(folder.glob(f"[0-9]*/{config.default_model_filename}")):
            missing.add(folder.name)
        needs[folder.name] = {step.model_name for step in config.ensemble_scheduling.step} | _parts(config)
    while dependents := {name for name, needed in needs.items() if needed & missing} - missing:
        missing |= dependents
    if missing and not needs.keys() - missing:
        raise ServerFailure("model repository", f"no network has been exported: {', '.join(sorted(missing))}")
    return missing


def show_exported(repositories: Iterable[Path], unexported: set[str], directory: Path) -> list[Path]:
    """Makes a folder in `directory` for each repository, with links to those of its models that can be served."""
    shown = []
    for number, repository in enumerate(repositories):
        view = directory / f"models-{number}"
        view.mkdir()
        for folder in repository.iterdir():
            if folder.is_dir() and folder.name not in unexported:
                (view / folder.name).symlink_to(folder.resolve(), target_is_directory=True)
        shown.append(view)
    return shown


def read_config(path: Path, name: str) -> model_config_pb2.ModelConfig:
    """A model's configuration.

    Args:
        name: what an error calls it.

    Raises:
        ServerFailure: it cannot be read.
    """
    try:
        return text_format.Parse(path.read_text(), model_config_pb2.ModelConfig())
    except (OSError, ValueError, text_format.ParseError) as error:
        raise ServerFailure(name, f"not a model configuration ({error})") from error


def _parts(config: model_config_pb2.ModelConfig) -> set[str]:
    """The models that a pipeline runs for every request."""
    parts = [
        Part.parse(key.removeprefix(_PART), value.string_value)
        for key, value in config.parameters.items()
        if key.startswith(_PART)
    ]
    return {part.model for part in parts if not part.input}
