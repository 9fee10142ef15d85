"""The server's models: its catalogue as it was last read, and as people are told of it."""

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Literal, TypeAlias

from pydantic import BaseModel, Field

from concord_client import AsyncClient
from concord_client.catalogue import Catalogue, Pipeline
from concord_client.errors import ConcordClientError, InvalidInput, ModelNotFound, Unavailable
from concord_client.settings import Setting, SettingValue
from concord_client.tasks import TASKS
from concord_client.tasks.fields import Kind
from concord_client.tasks.request import A, Request
from facade.access.caller import Allowance
from facade.problems import Problem
from facade.settings import Settings
from facade.work.requests import Task

SettingType: TypeAlias = Literal["integer", "number", "string", "boolean"]
_ASK_SECONDS = 5.0
_MAX_AGE = 1.0
_TYPES: Mapping[type, SettingType] = {int: "integer", float: "number", str: "string", bool: "boolean"}


class ModelInput(BaseModel):
    """Something a model is given."""

    name: str = Field(description="the form field", examples=["image"])
    type: Kind
    required: bool
    description: str


class ModelSetting(BaseModel):
    """How a model can be told to work."""

    name: str = Field(description="the form field", examples=["steps"])
    type: SettingType
    description: str
    default: SettingValue | None = Field(default=None, description="null where the server draws or decides")
    minimum: int | float | None = None
    maximum: int | float | None = None
    choices: list[SettingValue] | None = Field(default=None, description="the values there are, where they are few")


class ModelLimits(BaseModel):
    """What a request to a model may be."""

    max_bytes: int = Field(description="of an encoded image")
    max_pixels: int = Field(description="width x height")
    max_text_bytes: int = Field(description="of a text, as UTF-8")
    deadline: float = Field(description="seconds a request may take, waiting included")
    concurrency: int = Field(description="requests that are answered at a time")
    queue: int = Field(description="requests of a key that may wait for that")


class PublicModel(BaseModel):
    """A model that can be asked by its name."""

    name: str
    task: str
    description: str
    inputs: list[ModelInput]
    settings: list[ModelSetting]
    limits: ModelLimits


class Models:
    """The catalogue of one server, read again when something is missing from it, at most once a second.

    `changed` is called with every catalogue that differs from the one before.

    Attributes:
        profiles: that each model's networks are served in, by its name, in words.
        hidden: models that come or go now, and why they are not there.
    """

    def __init__(self, client: AsyncClient, changed: Callable[[Catalogue], object]) -> None:
        self._client = client
        self._changed = changed
        self._doubtful = True
        self.catalogue = Catalogue()
        self.profiles: Mapping[str, str] = {}
        self.hidden: dict[str, Callable[[], Problem]] = {}

    async def renew(self) -> None:
        """Reads the catalogue again, since it has changed; where the server does not answer, later."""
        self.doubt()
        with suppress(ConcordClientError):
            self.know(await self._client.catalogue(max_age=0, timeout=_ASK_SECONDS))

    async def refresh(self) -> Catalogue:
        """The catalogue, no older than a second.

        Raises:
            ConcordClientError: the server does not answer.
        """
        self.know(await self._client.catalogue(max_age=_MAX_AGE, timeout=_ASK_SECONDS))
        return self.catalogue

    def know(self, catalogue: Catalogue) -> None:
        self.profiles = {each: catalogue.profile_of(each) for each in {one.model for one in catalogue.pipelines}}
        if catalogue.pipelines != self.catalogue.pipelines:
            self.catalogue = catalogue
            self._changed(catalogue)
        self._doubtful = False

    def doubt(self) -> None:
        """What is known may be wrong; the next request reads the catalogue again."""
        self._doubtful = True

    def require(self, model: str) -> None:
        """Raises the `Problem` of a model that comes or goes now."""
        if refusal := self.hidden.get(model):
            raise refusal()

    def visible(self, allowance: Allowance | None = None) -> Catalogue:
        """What a caller may ask, or anybody, without the models that come or go now."""
        known = self.catalogue
        if not self.hidden and (allowance is None or not allowance.models):
            return known
        there = (each for each in known.pipelines if each.model not in self.hidden)
        return Catalogue(each for each in there if allowance is None or allowance.has_model(each.model))

    def setting_names(self, task: str) -> Collection[str] | None:
        """The public names of a task's settings; None where no catalogue is known, so that it may be any."""
        if not self.catalogue.pipelines:
            return None
        return [setting.public_name for each in self.catalogue.of_task(task) for setting in each.settings.values()]

    async def choose(self, request: Request[A], model: str | None, allowance: Allowance) -> Pipeline:
        """The pipeline that answers a request.

        Without a model's name it is the default of those that take what is given; models that the caller's allowance
        leaves out do not exist.

        Raises:
            Problem: the model comes or goes now.
            ConcordClientError: there is no such model, it does not take what is given, or the server does not answer.
        """
        if model is not None and allowance.has_model(model):
            self.require(model)
        given = [field.tensor for field in request.given()]
        if not self._doubtful:
            try:
                return self.visible(allowance).choose(request.TASK, model, given, streams=True)
            except (ModelNotFound, InvalidInput):
                # It may have come since.
                pass
        try:
            await self.refresh()
        except Unavailable:
            # A server that starts again has the models that it had.
            if not self.catalogue.pipelines:
                raise
        return self.visible(allowance).choose(request.TASK, model, given, streams=True)

    async def named(self, name: str, allowance: Allowance) -> Pipeline:
        """The pipeline of this name, of those whose task is known; errors as in `choose`."""
        self.require(name)
        found = {} if self._doubtful else _by_name(self.visible(allowance))
        if name not in found:
            await self.refresh()
            found = _by_name(self.visible(allowance))
        if name not in found:
            raise ModelNotFound(name, tuple(found))
        return found[name]


def _by_name(catalogue: Catalogue) -> dict[str, Pipeline]:
    tasks = {task.TASK for task in TASKS}
    return {each.name: each for each in catalogue.pipelines if each.task in tasks}


def public_models(catalogue: Catalogue, settings: Settings, allowance: Allowance) -> list[PublicModel]:
    """What a caller with this allowance can ask of a server."""
    return [
        _public_model(task, catalogue.of_model(task.TASK, name), settings, allowance)
        for task in TASKS
        for name in catalogue.models(task.TASK)
        if allowance.has_model(name)
    ]


def concurrency_of(catalogue: Catalogue, settings: Settings) -> dict[str, int]:
    """How many requests Triton is given at a time, by model: as the settings say, else as its pipelines declare."""
    declared: dict[str, int] = {}
    for pipeline in catalogue.pipelines:
        declared[pipeline.model] = max(pipeline.concurrency, declared.get(pipeline.model, 0))
    return {model: settings.concurrency.get(model, count) for model, count in declared.items()}


def deadline_of(pipeline: Pipeline, settings: Settings) -> float:
    """Seconds a request may take: as the settings say, else as the pipeline declares."""
    return settings.deadline.get(pipeline.model, pipeline.deadline)


def merged(pipelines: Iterable[Pipeline]) -> dict[str, Setting]:
    """The settings of several pipelines by their public names.

    Where pipelines allow different values, the widest range and all of their choices; of defaults, the first.
    """
    found: dict[str, Setting] = {}
    for setting in (setting for pipeline in pipelines for setting in pipeline.settings.values()):
        known = found.setdefault(setting.public_name, setting)
        found[setting.public_name] = _widened(known, setting)
    return found


def _widened(one: Setting, other: Setting) -> Setting:
    """A setting that allows what either of two allows."""
    if one.lowest is None or one.highest is None or other.lowest is None or other.highest is None:
        lowest, highest = None, None
    else:
        lowest, highest = min(one.lowest, other.lowest), max(one.highest, other.highest)
    choices = dict.fromkeys((*one.choices, *other.choices)) if one.choices and other.choices else ()
    return replace(one, lowest=lowest, highest=highest, choices=tuple(choices))


def _public_model(task: Task, pipelines: tuple[Pipeline, ...], settings: Settings, allowance: Allowance) -> PublicModel:
    first = pipelines[0]
    return PublicModel(
        name=first.model,
        task=task.TASK,
        description=first.about,
        inputs=_inputs(task, pipelines),
        settings=[public_setting(each) for each in merged(pipelines).values()],
        limits=ModelLimits(
            max_bytes=allowance.max_bytes,
            max_pixels=allowance.max_pixels,
            max_text_bytes=allowance.max_text_bytes,
            deadline=max(deadline_of(each, settings) for each in pipelines),
            concurrency=settings.concurrency.get(first.model, max(each.concurrency for each in pipelines)),
            queue=settings.queue,
        ),
    )


def _inputs(task: Task, pipelines: tuple[Pipeline, ...]) -> list[ModelInput]:
    taken = [each for each in task.fields() if any(each.tensor in pipeline.inputs for pipeline in pipelines)]
    names = {each.name for each in taken}
    groups = [[name for name in group if name in names] for group in task.ONE_OF]
    inputs = []
    for field in taken:
        group = next((group for group in groups if field.name in group), [])
        one_of = f" (exactly one of {' and '.join(group)})" if len(group) > 1 else ""
        if all(field.tensor in pipeline.any_of for pipeline in pipelines):
            one_of = f" (at least one of {' and '.join(_names(task, pipelines[0].any_of))})"
        required = len(group) == 1 or all(field.tensor in pipeline.required for pipeline in pipelines)
        about = f"{field.about}{one_of}"
        inputs.append(ModelInput(name=field.name, type=field.kind, required=required, description=about))
    return inputs


def _names(task: Task, tensors: Collection[str]) -> list[str]:
    return [each.name for each in task.fields() if each.tensor in tensors]


def public_setting(setting: Setting) -> ModelSetting:
    return ModelSetting(
        name=setting.public_name,
        type=_TYPES[setting.kind],
        description=setting.about,
        default=setting.default,
        minimum=setting.lowest,
        maximum=setting.highest,
        choices=list(setting.choices) or None,
    )
