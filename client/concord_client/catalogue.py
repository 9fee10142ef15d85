"""What a server's pipelines say of themselves: the one description that clients, facade and tools read.

A pipeline is public if its Triton configuration has the parameter ``task``. Its other parameters (all strings):

* ``model``: what a person calls it. Several pipelines may share a model: one takes a text, another a mask.
* ``about``, ``rank`` (the first model of a task by rank and name is its default), ``concurrency`` (requests of the
  model that make sense at a time), ``deadline_seconds``.
* ``part.ROLE``: ``MODEL``, which it runs; ``MODEL; INPUT`` or ``MODEL; INPUT=VALUE`` where it runs that model only if
  the input is given, or has the value.
* ``gate.ROLE``: of a part that has to give the pictures of the one it replaces: ``PASSED`` and what was found, or why
  it has not passed. Without this parameter a part needs no gate.
* ``any_of``: names of optional inputs, with commas between them, of which a request has at least one.
* ``setting.INPUT``: see `concord_client.settings.Setting.parse`.

Inputs, outputs and streaming stand in the configuration itself.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from concord_client.errors import InvalidDeclaration, InvalidInput, ModelNotFound
from concord_client.settings import Setting

TIMEOUT = "TIMEOUT"
"""Input for the seconds that are left; filled in by the client, and no setting."""
STEP, TOTAL, PREVIEW = "STEP", "TOTAL", "PREVIEW"
"""Outputs of a pipeline that works in steps."""
SEED = "SEED"
"""Setting that is drawn where a request leaves it open."""
RELOADS = "reloads"
"""Parameter of a model: how often it was loaded again because its process had died."""
PROFILE = "profile"
"""Parameter of a network: the profile that it is served in, if that is not its default."""
DEFAULT_PROFILE = "default"
"""What that is called."""

DEFAULT_DEADLINE = 60.0
_DEFAULT_RANK = 100
PASSED = "passed"
ANY_OF = "any_of"
PART, SETTING, GATE = "part.", "setting.", "gate."
"""Beginnings of a pipeline's parameters."""


@dataclass(frozen=True)
class Part:
    """A model that a pipeline runs.

    Attributes:
        role: what it is to the pipeline, such as ``unet``.
        model: its name in the repository.
        input: the input without which it is not run; empty where it always is.
        value: the value of that input with which alone it is run; empty for any.
        gate: what its gate found, in words; None where it has none.
    """

    role: str
    model: str
    input: str = ""
    value: str = ""
    gate: str | None = None

    @property
    def barred(self) -> str:
        """Why a request may not have it, although its model is there; empty if it may."""
        if self.gate is None or self.gate.startswith(PASSED):
            return ""
        return (
            f"its model '{self.model}' has not passed the gate of this pipeline ({self.gate}); on the server, "
            f"`python -m export judge {self.model}` asks the gate again"
        )

    @classmethod
    def parse(cls, role: str, text: str, gate: str | None = None) -> Self:
        """Reads the parameter ``part.ROLE``; raises `InvalidDeclaration`."""
        model, _, condition = (word.strip() for word in text.partition(";"))
        name, _, value = (word.strip() for word in condition.partition("="))
        if not model or " " in model or (";" in text and not name):
            raise InvalidDeclaration(f"{PART}{role}", f"is {text!r}", "MODEL, MODEL; INPUT or MODEL; INPUT=VALUE")
        return cls(role, model, name, value, gate)


@dataclass(frozen=True)
class Pipeline:
    """A public pipeline: what its parameters say, see above, and what stands in its configuration.

    Attributes:
        name: what requests call it on the wire.
        required: inputs that every request has.
        optional: inputs that a request may have, settings and `TIMEOUT` not among them.
        any_of: those of the optional inputs of which a request has at least one; empty where it need not.
        outputs: in the order of the configuration.
        settings: by the name of their input.
        parts: the models it runs, by role; empty for an ensemble.
        members: the models of an ensemble's steps, in their order.
        streams: whether it answers step by step.
        has_deadline: whether it takes the input `TIMEOUT`.
        deadline: seconds a request may take.
    """

    name: str
    task: str
    model: str
    about: str = ""
    rank: int = _DEFAULT_RANK
    required: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    any_of: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    settings: Mapping[str, Setting] = field(default_factory=dict)
    parts: Mapping[str, Part] = field(default_factory=dict)
    members: tuple[str, ...] = ()
    streams: bool = False
    has_deadline: bool = False
    concurrency: int = 1
    deadline: float = DEFAULT_DEADLINE

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Self | None:
        """Reads a model configuration in Triton's JSON form; None where it is not public.

        Raises:
            InvalidDeclaration: a parameter cannot be read; names the pipeline and the parameter.
        """
        parameters = {key: str(value.get("string_value", "")) for key, value in config.get("parameters", {}).items()}
        if "task" not in parameters:
            return None
        try:
            return cls._of(config, parameters)
        except InvalidDeclaration as error:
            raise replace(error, pipeline=config.get("name", "")) from None

    @classmethod
    def _of(cls, config: Mapping[str, Any], parameters: Mapping[str, str]) -> Self:
        inputs = {tensor["name"]: tensor for tensor in config.get("input", ())}
        allowed = f"an input of the pipeline: {', '.join(inputs)}"
        declared = {key.removeprefix(SETTING): text for key, text in parameters.items() if key.startswith(SETTING)}
        if odd := declared.keys() - inputs.keys():
            raise InvalidDeclaration(f"{SETTING}{min(odd)}", "there is no such input", allowed)
        # In the order of the inputs, which is the order in which people see them.
        settings = {
            name: Setting.parse(name, tensor["data_type"], declared[name])
            for name, tensor in inputs.items()
            if name in declared
        }
        roles = {key.removeprefix(PART): text for key, text in parameters.items() if key.startswith(PART)}
        parts = [Part.parse(role, text, parameters.get(f"{GATE}{role}")) for role, text in roles.items()]
        for part in parts:
            if part.input and part.input not in inputs:
                raise InvalidDeclaration(f"{PART}{part.role}", f"there is no input {part.input}", allowed)
        given = [tensor for name, tensor in inputs.items() if name not in settings and name != TIMEOUT]
        optional = frozenset(tensor["name"] for tensor in given if tensor.get("optional"))
        any_of = tuple(name.strip() for name in parameters[ANY_OF].split(",")) if ANY_OF in parameters else ()
        if odd := set(any_of) - optional:
            raise InvalidDeclaration(
                ANY_OF, f"{min(odd) or 'nothing'} is no optional input", ", ".join(sorted(optional))
            )
        return cls(
            name=config["name"],
            task=_word(parameters, "task"),
            model=_word(parameters, "model"),
            about=parameters.get("about", ""),
            rank=int(_number(parameters, "rank", _DEFAULT_RANK, 0, 10_000)),
            required=frozenset(tensor["name"] for tensor in given) - optional,
            optional=optional,
            any_of=any_of,
            outputs=tuple(tensor["name"] for tensor in config.get("output", ())),
            settings=settings,
            parts={part.role: part for part in parts},
            members=tuple(step["model_name"] for step in config.get("ensemble_scheduling", {}).get("step", ())),
            streams=bool(config.get("model_transaction_policy", {}).get("decoupled", False)),
            has_deadline=TIMEOUT in inputs,
            concurrency=int(_number(parameters, "concurrency", 1, 1, 1024)),
            deadline=_number(parameters, "deadline_seconds", DEFAULT_DEADLINE, 1, 86_400),
        )

    @property
    def has_steps(self) -> bool:
        """Whether it tells of every step."""
        return STEP in self.outputs and TOTAL in self.outputs

    @property
    def inputs(self) -> frozenset[str]:
        """Required and optional inputs together."""
        return self.required | self.optional

    def takes(self, given: Collection[str]) -> bool:
        """Whether a request with just these inputs, settings left aside, can be answered."""
        return self.required <= set(given) <= self.inputs and not self.lacks(given)

    def lacks(self, given: Collection[str]) -> bool:
        """Whether a request with just these inputs has none of those of which it has to have one."""
        return bool(self.any_of) and not set(self.any_of) & set(given)

    @property
    def needs(self) -> str:
        """What a request has to have, in words."""
        return " + ".join([*sorted(self.required), *[" or ".join(self.any_of)] * bool(self.any_of)])

    def models(self) -> frozenset[str]:
        """The models without which it cannot answer any request."""
        return frozenset(self.members) | {part.model for part in self.parts.values() if not part.input}

    @property
    def runs(self) -> frozenset[str]:
        """The models that it runs, for some request at least."""
        return frozenset(self.members) | {part.model for part in self.parts.values()}

    def narrowed(self, ready: Collection[str]) -> Self:
        """The pipeline on a server that has only these models: without the inputs and choices whose parts it lacks.

        And without the choices whose parts have not passed their gate.
        """
        missing = [part for part in self.parts.values() if part.input and (part.model not in ready or part.barred)]
        settings = dict(self.settings)
        for part in (part for part in missing if part.input in settings):
            setting = settings[part.input]
            choices = setting.choices or ((False, True) if setting.kind is bool else ())
            left = tuple(choice for choice in choices if str(choice).lower() != part.value.lower())
            closed = {part.value: part.barred} if part.barred and part.model in ready else {}
            settings[part.input] = replace(setting, choices=left, closed={**setting.closed, **closed})
        gone = {part.input for part in missing}
        any_of = tuple(name for name in self.any_of if name not in gone)
        return replace(self, optional=self.optional - gone, any_of=any_of, settings=settings)


class Catalogue:
    """The public pipelines of a server, and the profiles of the networks that are not served in their default.

    Raises:
        InvalidDeclaration: two of them claim the same task, model and inputs.
    """

    def __init__(self, pipelines: Iterable[Pipeline] = (), profiles: Mapping[str, str] | None = None) -> None:
        self.profiles = profiles or {}
        self.pipelines = tuple(sorted(pipelines, key=lambda each: (each.rank, each.model, each.name)))
        claims: dict[tuple[str, str, frozenset[str], bool], Pipeline] = {}
        for pipeline in self.pipelines:
            claim = (pipeline.task, pipeline.model, pipeline.required, pipeline.streams)
            if other := claims.get(claim):
                problem = f"{other.name} claims {pipeline.task} by {pipeline.model} with the same inputs"
                raise InvalidDeclaration("model", problem, "a model of another name, or other inputs", pipeline.name)
            claims[claim] = pipeline

    @classmethod
    def of(
        cls, configs: Iterable[Mapping[str, Any]], ready: Collection[str] | None = None, *, readable: bool = False
    ) -> Self:
        """Reads model configurations in Triton's JSON form.

        Args:
            configs: of any models.
            ready: names of the models that answer; None for all of ``configs``.
            readable: leave out what cannot be read, as a client does: its server may be newer, and one declaration
                is no reason to refuse the other models.

        Raises:
            InvalidDeclaration: one of them cannot be read, or two claim the same.
        """
        configs = list(configs)
        ready = {config["name"] for config in configs} if ready is None else ready
        found = []
        for config in configs:
            try:
                found.append(Pipeline.of(config))
            except InvalidDeclaration:
                if not readable:
                    raise
        profiles = {
            config["name"]: str(config["parameters"][PROFILE].get("string_value", ""))
            for config in configs
            if PROFILE in config.get("parameters", {})
        }
        return cls((each.narrowed(ready) for each in found if each is not None and each.name in ready), profiles)

    def profile_of(self, model: str) -> str:
        """The profiles of what a public model runs, joined by a plus; `DEFAULT_PROFILE` where it names none."""
        run = {name for each in self.pipelines if each.model == model for name in (each.name, *each.runs)}
        return "+".join(sorted({self.profiles[each] for each in run & self.profiles.keys()})) or DEFAULT_PROFILE

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks that a model is there for."""
        return tuple(dict.fromkeys(pipeline.task for pipeline in self.pipelines))

    def of_task(self, task: str) -> tuple[Pipeline, ...]:
        """The pipelines of a task, those of its default model first."""
        return tuple(each for each in self.pipelines if each.task == task)

    def models(self, task: str) -> tuple[str, ...]:
        """Names of a task's models, the default first."""
        return tuple(dict.fromkeys(pipeline.model for pipeline in self.of_task(task)))

    def of_model(self, task: str, model: str) -> tuple[Pipeline, ...]:
        """The pipelines of a model, for a task."""
        return tuple(each for each in self.of_task(task) if each.model == model)

    def has_steps(self, task: str, model: str) -> bool:
        """Whether a model tells of every step, over protocols that have streams."""
        return any(pipeline.has_steps for pipeline in self.of_model(task, model))

    def choose(self, task: str, model: str | None, given: Collection[str], *, streams: bool) -> Pipeline:
        """The pipeline that answers a request.

        Args:
            task: what is wanted.
            model: None for the first of the task's models that takes what is given.
            given: names of the inputs that the request has, settings not among them.
            streams: whether the protocol can carry steps; a pipeline that streams is then taken before one that does
                not, and else not at all.

        Raises:
            ModelNotFound: there is no such model for the task.
            InvalidInput: the model does not take what is given.
        """
        models = self.models(task)
        if not models or (model is not None and model not in models):
            raise ModelNotFound(model or task, models)
        able = [each for each in self.of_task(task) if model in (None, each.model) and (streams or not each.streams)]
        if fitting := [each for each in able if each.takes(given)]:
            # Of pipelines that all take it, the one that asks for most of it was made for it.
            return min(fitting, key=lambda each: (each.rank, each.model, not each.streams, -len(each.required)))
        ways = [each.needs for each in able] or ["nothing over this protocol"]
        odd = sorted(set(given) - frozenset().union(*(each.inputs for each in able)))
        odd = odd or [each.any_of[0] for each in able if each.lacks(given)] or sorted(given)
        problem = f"{model or task} does not take {' + '.join(sorted(given))}"
        raise InvalidInput("invalid_setting", odd[0] if odd else "request", problem, ", or ".join(dict.fromkeys(ways)))


def _word(parameters: Mapping[str, str], key: str) -> str:
    text = parameters.get(key, "")
    if not text.isidentifier() or not text.isascii():
        raise InvalidDeclaration(key, f"is {text[:40]!r}", "a name of letters, digits and underscores")
    return text


def _number(parameters: Mapping[str, str], key: str, default: float, lowest: float, highest: float) -> float:
    text = parameters.get(key, str(default))
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not lowest <= number <= highest:
        raise InvalidDeclaration(key, f"is {text[:40]!r}", f"a number from {lowest:g} to {highest:g}")
    return number
