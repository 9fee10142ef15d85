"""``concord models``: what the server has."""

import argparse
from collections.abc import Iterable, Mapping

from concord_client.catalogue import Catalogue, Pipeline
from concord_client.client import Client
from concord_client.commands import ExitCode
from concord_client.commands.flags import add_connection_arguments, read_connection
from concord_client.repository import Model, Tensor
from concord_client.settings import Setting
from concord_client.tasks import TASKS

HELP = "list the server's models: what they are for, what they take, and their settings"
DESCRIPTION = """\
Lists the public models of every task, the default first: what each takes (in brackets what may be left out), and its
settings with their defaults, what they may be and what they do, and which networks are served in a profile other than
their default. With --all, every model and pipeline of the server with
its version, inputs and outputs; -1 is a size that is free."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the flags."""
    parser.add_argument("--all", action="store_true", help="every model and pipeline, with its tensors")
    add_connection_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Prints the models and returns the exit code."""
    with Client(**read_connection(args)) as client:
        lines = _tensor_lines(client.models()) if args.all else _public_lines(client.catalogue())
    for line in lines:
        print(line)
    return ExitCode.OK


def _public_lines(catalogue: Catalogue) -> Iterable[str]:
    abouts = {request.TASK: request.about() for request in TASKS}
    for task in catalogue.tasks:
        yield f"{task}: {abouts[task]}" if task in abouts else task
        for place, model in enumerate(catalogue.models(task)):
            pipelines = catalogue.of_model(task, model)
            yield f"  {model}{' (default)' if place == 0 else ''}: {pipelines[0].about}"
            yield f"    takes {', or '.join(dict.fromkeys(_taken(each) for each in pipelines))}"
            if profiles := _profiles(pipelines, catalogue.profiles):
                yield f"    serves {', '.join(profiles)}"
            yield from (f"    {_setting_line(each)}" for each in pipelines[0].settings.values())


def _profiles(pipelines: Iterable[Pipeline], profiles: Mapping[str, str]) -> list[str]:
    """The networks of pipelines that are not served in their default, with their profiles."""
    models = frozenset[str]().union(*(each.runs for each in pipelines))
    return [f"{model} in {profiles[model]}" for model in sorted(models & profiles.keys())]


def _taken(pipeline: Pipeline) -> str:
    fields = [field for request in TASKS if pipeline.task == request.TASK for field in request.fields()]
    names = {field.tensor: field.name for field in fields}
    required = [names.get(tensor, tensor) for tensor in sorted(pipeline.required)]
    optional = [f"[{names.get(tensor, tensor)}]" for tensor in sorted(pipeline.optional)]
    if pipeline.any_of:
        optional.append(f"(at least one of {', '.join(names.get(tensor, tensor) for tensor in pipeline.any_of)})")
    return " ".join(required + optional)


def _setting_line(setting: Setting) -> str:
    default = "" if setting.default is None else f" {setting.written_default}"
    return f"--{setting.public_name}{default}: {setting.allowed}; {setting.about}"


def _tensor_lines(models: Iterable[Model]) -> Iterable[str]:
    for model in models:
        yield f"{model.name} {model.version}"
        yield f"  in   {_tensors(model.inputs)}"
        yield f"  out  {_tensors(model.outputs)}"


def _tensors(tensors: Iterable[Tensor]) -> str:
    return ", ".join(f"{tensor.name} {tensor.datatype} {list(tensor.shape)}" for tensor in tensors)
