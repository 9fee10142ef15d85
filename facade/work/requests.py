"""Requests of any task: made from what a caller gives, checked before anything is sent."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from concord.images import Header, read_header
from concord_client.catalogue import Catalogue, Pipeline
from concord_client.settings import Setting, SettingValue
from concord_client.tasks.request import Request
from facade.access.caller import Allowance
from facade.problems import Problem
from facade.work.pictures import tiny_picture

Task: TypeAlias = type[Request[Any]]
Settings: TypeAlias = Mapping[str, SettingValue]
"""Settings of a model, by their public names."""

_SHOWN = 40
_TINY: Mapping[str, object] = {"text": "a", "boolean": False, "integer": 0, "number": 0.0}


def made(task: Task, values: Mapping[str, object]) -> Request[Any]:
    """A request with these fields; what is None counts as not given.

    Raises:
        Problem: of fields that exclude each other, none or more than one is given.
    """
    given = {name: value for name, value in values.items() if value is not None}
    for group in task.ONE_OF:
        found = [name for name in group if name in given]
        allowed = " or ".join(group)
        if not found:
            problem = f"{'neither ' if len(group) == 2 else 'none of '}{' nor '.join(group)} is given"
            raise Problem("missing_field", problem, field=group[0], allowed=allowed)
        if len(found) > 1:
            problem = f"{'both ' if len(found) == 2 else ''}{' and '.join(found)} are given"
            raise Problem("invalid_setting", problem, field=found[-1], allowed=allowed)
    return task(**given)


def check(request: Request[Any], allowance: Allowance) -> dict[str, Header]:
    """Refuses what a caller may not send; nothing is decoded.

    Returns:
        What its images say of themselves, by field.

    Raises:
        ConcordError: an image cannot be read, or is too large.
        Problem: a text is too long.
    """
    headers = {}
    for field in request.given():
        value = getattr(request, field.name)
        if field.kind == "image":
            headers[field.name] = read_header(value, allowance.limits, field.name)
        elif field.kind == "text" and (size := len(value.encode("utf-8", "surrogatepass"))) > allowance.max_text_bytes:
            allowed = f"at most {allowance.max_text_bytes} bytes of UTF-8"
            raise Problem("invalid_text", f"it has {size} bytes", field=field.name, allowed=allowed)
    return headers


def read_settings(texts: Mapping[str, str], pipeline: Pipeline, catalogue: Catalogue) -> Settings:
    """A pipeline's settings from their written form; the catalogue says which names are settings of another model.

    Raises:
        Problem: no model of the task has a setting of that name, or not this one; or the value is not allowed.
    """
    own = {each.public_name: each for each in pipeline.settings.values()}
    names = ", ".join(own) or "no settings"
    for name in texts.keys() - own.keys():
        pipelines = catalogue.of_task(pipeline.task)
        able = [each.model for each in pipelines for one in each.settings.values() if one.public_name == name]
        if not able:
            raise Problem("unexpected_field", f"{name!r} is not a field of this request", field=name, allowed=names)
        others = " or ".join(f"model={model}" for model in dict.fromkeys(able))
        problem = f"{pipeline.model} has no such setting"
        raise Problem("invalid_setting", problem, field=name, allowed=f"{names}; {name} with {others}")
    return {name: _read(text, own[name]) for name, text in texts.items()}


def smallest(task: Task, pipeline: Pipeline) -> tuple[Request[Any], Settings]:
    """The request to a pipeline that costs least: tiny pictures, short texts, the lowest of whole numbers."""
    tiny = {"image": tiny_picture(), **_TINY}
    needed = {*pipeline.required, *pipeline.any_of[:1]}
    fields = [each for each in task.fields() if each.tensor in needed]
    values = {each.name: each.example if each.kind == "numbers" else tiny[each.kind] for each in fields}
    kinds = {each.name: each.kind for each in task.fields() if each.tensor in pipeline.inputs}
    for group in task.ONE_OF:
        if not any(name in values for name in group):
            # A text has to be understood by a network.
            name = min((name for name in group if name in kinds), key=lambda name: kinds[name] == "text")
            values[name] = tiny[kinds[name]]
    settings = {}
    for setting in pipeline.settings.values():
        lowest = min(setting.choices) if setting.choices else setting.lowest
        if setting.kind is int and lowest is not None:
            settings[setting.public_name] = lowest
    return task(**values), settings


def _read(text: str, setting: Setting) -> SettingValue:
    try:
        value = setting.read(text)
    except ValueError:
        problem = f"{text[:_SHOWN]!r} is not allowed"
        raise Problem("invalid_setting", problem, field=setting.public_name, allowed=setting.allowed) from None
    return setting.check(value)
