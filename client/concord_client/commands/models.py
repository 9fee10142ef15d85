"""``concord models``: what the server has."""

import argparse
from collections.abc import Iterable

from concord_client.client import Client
from concord_client.commands import ExitCode
from concord_client.commands.connection import add_connection_arguments, read_connection
from concord_client.repository import Tensor

HELP = "list the server's models and pipelines with their inputs and outputs"
DESCRIPTION = "Lists name, version, state, inputs and outputs of every model of the server; -1 is a size that is free."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the flags."""
    add_connection_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Prints the models and returns the exit code."""
    with Client(**read_connection(args)) as client:
        models = client.models()
    for model in models:
        print(f"{model.name} {model.version or '-'} {'ready' if model.ready else 'not ready'}")
        if model.ready:
            print(f"  in   {_tensors(model.inputs)}")
            print(f"  out  {_tensors(model.outputs)}")
    return ExitCode.OK


def _tensors(tensors: Iterable[Tensor]) -> str:
    return ", ".join(f"{tensor.name} {tensor.datatype} {list(tensor.shape)}" for tensor in tensors)
