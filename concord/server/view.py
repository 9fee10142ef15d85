"""The folders from which one server loads its models.

Triton refuses to start where one model cannot be loaded, so it sees only those that can be, and each with the
configuration that was chosen for it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from google.protobuf import text_format  # type: ignore[import-untyped]
from tritonclient.grpc import model_config_pb2  # type: ignore[import-untyped]

from concord.repository import pbtxt
from concord.variants import DEFAULT, Variant
from concord_client.catalogue import PROFILE, RELOADS

_CONFIG = "config.pbtxt"
_SHOWN = "shown"
"""Parameter that counts: where nothing else has changed, Triton would keep the process that there is."""


class View:
    """A folder for each repository, with one for each model: links to its files, and a configuration of our own."""

    def __init__(self, repositories: Sequence[Path]) -> None:
        self.folders: list[Path] = []
        self._repositories = repositories
        self._reloads, self._shown = Counter[str](), Counter[str]()

    def open(self, directory: Path) -> None:
        """Makes the folders anew, in `directory`."""
        self.folders = [directory / f"models-{number}" for number in range(len(self._repositories))]
        self._reloads.clear()
        self._shown.clear()
        for folder in self.folders:
            folder.mkdir()

    def show(self, models: Iterable[str], chosen: Mapping[str, Variant]) -> None:
        """Shows models as they are in the repositories now, and anew, so that Triton will load them again.

        The configuration of a chosen variant stands in the default's place, and its parameter `PROFILE` names it.
        """
        for name in models:
            for repository, view in zip(self._repositories, self.folders, strict=True):
                if (repository / name / _CONFIG).is_file():
                    self._shown[name] += 1
                    self._show(repository / name, view / name, chosen.get(name))

    def show_reloaded(self, model: str, chosen: Mapping[str, Variant]) -> None:
        """Shows a model whose process has ended; the parameter `RELOADS` of its configuration counts that."""
        self._reloads[model] += 1
        self.show([model], chosen)

    def _show(self, source: Path, folder: Path, variant: Variant | None) -> None:
        folder.mkdir(exist_ok=True)
        versions = [variant.version] if variant else [each for each in source.iterdir() if each.name != _CONFIG]
        links = {each.name: each.resolve() for each in versions}
        for each in folder.iterdir():
            if each.is_symlink() and each.name not in links:
                each.unlink()
        for name, target in links.items():
            if not (folder / name).is_symlink():
                (folder / name).symlink_to(target, target_is_directory=target.is_dir())
        written = folder / f"{_CONFIG}.new"
        written.write_text(self._config(source, variant))
        written.replace(folder / _CONFIG)

    def _config(self, source: Path, variant: Variant | None) -> str:
        parameters = {}
        if self._shown[source.name] > 1:
            parameters[_SHOWN] = str(self._shown[source.name])
        if self._reloads[source.name]:
            parameters[RELOADS] = str(self._reloads[source.name])
        if variant is not None and variant.profile != DEFAULT:
            parameters[PROFILE] = variant.profile
        if variant is None and not parameters:
            return (source / _CONFIG).read_text()
        config = model_config_pb2.ModelConfig()
        config.CopyFrom(variant.settings if variant else pbtxt.read(source / _CONFIG, f"{source.name}/{_CONFIG}"))
        for name, value in parameters.items():
            config.parameters[name].string_value = value
        return str(text_format.MessageToString(config))
