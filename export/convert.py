"""A checkpoint into the model repository: the command of every network that has one of its own."""

from argparse import ArgumentParser, Namespace
from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from export import default_setting
from export.arguments import add_form, add_repository
from export.checkpoint import CheckpointError, named
from export.network import Network
from export.networks import elsewhere
from export.onnx_file import publish
from export.publication import record_of

if TYPE_CHECKING:
    from export.runtime_form import Form


def add_arguments(parser: ArgumentParser, network: Network) -> None:
    add_repository(parser)
    parser.add_argument("--checkpoint", type=Path, required=True, help="the authors' file or folder, or .safetensors")
    if network.source and network.source.rewritten:
        # Run once, where the UNet runs at every step: their size is worth more than their time.
        add_form(parser, convolution="direct")


def run(network: Network, arguments: Namespace) -> None:
    form = None
    if network.source and network.source.rewritten:
        from export.runtime_form import Form  # needs diffusers, which takes seconds

        form = Form(arguments.attention, arguments.convolution)
    convert(network, arguments.checkpoint, arguments.model_repository, form)


def convert(network: Network, path: Path, repository: Path, form: "Form | None" = None) -> None:
    """Read, load, export, check, replace; one line a checked batch. Without a form, as the authors wrote it.

    A `resolution` among the network's sizes becomes the default of its pipelines.

    Raises:
        CheckpointError: the checkpoint cannot be used, or is one of another network.
        CheckFailed: the export is not exact.
    """
    source = network.source
    assert source is not None
    found = source.read(path)
    if not source.claims(found.weights):
        raise CheckpointError(f"{path}: {refusal(network.name, found.weights)}")
    loaded = named(path, lambda: source.load(found))
    record = loaded.record
    if network.companion_of:  # it belongs to the pipeline that is there; another one, put in later, is told of it
        record = record | {"pipeline": record_of(repository, network.companion_of).get("pipeline")}
    rewriting = None
    if form is not None:
        from export.runtime_form import rewrite

        rewriting = partial(rewrite, form=form)
    for difference in publish(loaded.network, network, repository, record, rewriting):
        print(f"{network.name}: {difference}", flush=True)
    print(f"now served: {network.name}")
    resolution = record.get("config", {}).get("resolution")
    if resolution and default_setting.write_resolution(repository, "network", network.name, str(resolution)):
        print(f"the pipelines that run it work at {resolution} pixels where a request does not say")


def refusal(name: str, keys: Collection[str]) -> str:
    """Why a checkpoint with these keys is not one of the network, and which command takes it."""
    rest = elsewhere(keys) or ", nor of any other network that is exported here"
    return f"not a checkpoint of {name}{rest}"
