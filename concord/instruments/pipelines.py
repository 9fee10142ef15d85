"""The pipelines of a task, and what they run in one request."""

from collections.abc import Collection, Container
from contextlib import suppress

from concord_client.catalogue import Catalogue, Pipeline
from concord_client.errors import InvalidInput
from concord_client.settings import Setting

_STEPPING = "unet"  # the role of the part that runs once a step


def of_task(catalogue: Catalogue, task: str, given: Collection[str]) -> list[Pipeline]:
    """For each model of a task, the pipeline that answers such a request; models that do not take it are left out."""
    found = []
    for model in catalogue.models(task):
        with suppress(InvalidInput):
            found.append(catalogue.choose(task, model, given, streams=True))
    return found


def networks(pipeline: Pipeline, known: Container[str]) -> tuple[str, ...]:
    """The networks that every request runs: an ensemble's in their order, a loop's by role.

    Args:
        known: names of networks; what else a pipeline runs is left out.
    """
    parts = (part.model for _, part in sorted(pipeline.parts.items()) if not part.input)
    return tuple(dict.fromkeys(model for model in (*pipeline.members, *parts) if model in known))


def stepping(pipeline: Pipeline) -> str:
    """The network that runs once a step; empty where none does."""
    return pipeline.parts[_STEPPING].model if _STEPPING in pipeline.parts else ""


def steps(pipeline: Pipeline) -> int:
    """Steps of a request that does not say how many; 1 of a pipeline that answers in one pass."""
    return int(pipeline.settings["STEPS"].default or 1) if "STEPS" in pipeline.settings else 1


def scale(pipeline: Pipeline) -> int:
    """How many times as large, each way, a picture is that the networks see by default as the least they can see."""
    if (setting := pipeline.settings.get("RESOLUTION")) is None or setting.default is None:
        return 1
    return int(setting.default) // int(least(setting))


def least(setting: Setting) -> float:
    """The least number that a setting may be."""
    return min(map(float, setting.choices), default=setting.lowest or 0)
