"""``python -m docs.tensors``: writes the tables of ``docs/tensors.md`` from the configurations and the tasks."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tritonclient.grpc.model_config_pb2 import DataType  # type: ignore[import-untyped]

from concord.instruments.markdown import filled, table
from concord.repository import pbtxt
from concord.server.declared import catalogue
from concord_client.catalogue import Catalogue, Pipeline
from concord_client.settings import Setting
from concord_client.tasks.table import HEADER, rows

PAGE = Path(__file__).parent / "tensors.md"
ROOT = Path(__file__).parents[1]
REPOSITORIES = (ROOT / "ensembles", ROOT / "model_repository")


def pipelines(found: Catalogue) -> str:
    """Every public pipeline: what it takes and what it answers."""
    rows = [
        [f"`{each.name}`", each.task, f"`{each.model}`", each.about, _takes(each), _code(each.outputs)]
        for each in found.pipelines
    ]
    return table(["pipeline", "task", "model", "what it is", "inputs", "outputs"], rows)


def _takes(pipeline: Pipeline) -> str:
    """Its inputs; those in parentheses are optional, its settings among them."""
    required = _code(sorted(pipeline.required))
    optional = _code([*sorted(pipeline.optional), *pipeline.settings, *["TIMEOUT"] * pipeline.has_deadline])
    return f"{required} ({optional})" if optional else required


def settings(found: Catalogue) -> str:
    """Every setting of every model."""
    rows = {
        (pipeline.model, name): [f"`{pipeline.model}`", f"`{name}`", *_setting(setting)]
        for pipeline in found.pipelines
        for name, setting in pipeline.settings.items()
    }
    return table(["model", "setting", "type", "default", "allowed", "meaning"], list(rows.values()))


def _setting(setting: Setting) -> list[str]:
    default = setting.default
    shown = str(default).lower() if isinstance(default, bool) else "" if default is None else str(default)
    # What a gate closes on one server is open on another.
    allowed = replace(setting, choices=(*setting.choices, *sorted(setting.closed))).allowed
    return [_type(setting.datatype), shown, allowed, setting.about]


def models() -> str:
    """Every model that is not a public pipeline."""
    configs = [pbtxt.read(path, path.parent.name) for folder in REPOSITORIES for path in folder.glob("*/config.pbtxt")]
    rows = [
        [f"`{config.name}`", _tensors(config.input), _tensors(config.output)]
        for config in sorted(configs, key=lambda config: str(config.name))
        if "task" not in config.parameters
    ]
    return table(["model", "inputs", "outputs"], rows)


def _tensors(tensors: Iterable[Any]) -> str:
    return ", ".join(
        f"`{each.name}` {_type(DataType.Name(each.data_type))} [{', '.join(map(str, each.dims))}]" for each in tensors
    )


def _type(datatype: str) -> str:
    return datatype.removeprefix("TYPE_").replace("STRING", "BYTES")


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def written(page: str) -> str:
    """The page with its tables made again."""
    found = catalogue(REPOSITORIES, missing=())
    tables = {"pipelines": pipelines(found), "settings": settings(found)}
    return filled(page, {**tables, "tensors": table(HEADER, rows()), "models": models()})


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
