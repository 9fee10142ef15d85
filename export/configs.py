"""Write Triton's configurations of the networks, their profiles, and the pipelines that follow from others."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path

from google.protobuf import text_format  # type: ignore[import-untyped]
from tritonclient.grpc.model_config_pb2 import (  # type: ignore[import-untyped]
    DataType,
    ModelConfig,
    ModelInstanceGroup,
    ModelParameter,
    ModelWarmup,
)

from concord.model_config import UNLESS_EMPTY
from concord.repository import ensembles, loops, pbtxt
from concord.repository.profiles import PATIENCE, PROFILES
from concord.server.installation import MODEL_REPOSITORIES
from export.network import Network
from export.networks import every
from export.publication import MODEL

MODELS, ENSEMBLES = MODEL_REPOSITORIES
SEGMENT = "segment"  # the ensemble that finds the mask for a text


def add_arguments(parser: ArgumentParser) -> None:
    """None: the project's own repositories are written."""


def run(_arguments: Namespace) -> None:
    """Write what differs, one printed line each; folders of networks that are not exported are made."""
    for path, text in generated().items():
        folder = path.parent / "1"
        if path.name == "config.pbtxt" and not (folder.is_dir() and any(folder.iterdir())):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / ".gitkeep").touch()
        if not path.is_file() or path.read_text() != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            print(path)


def generated() -> dict[Path, str]:
    """The text of every generated configuration."""
    texts, networks = {}, list(every())
    written = {network.name: default(network) for network in networks}
    for network in networks:
        config, comment = written[network.name], f"Written by `make configs` from export/networks/{network.name}.py."
        texts[MODELS / network.name / "config.pbtxt"] = pbtxt.write(config, comment)
        for profile in network.serving.profiles:
            path = MODELS / network.name / "configs" / f"{profile}.pbtxt"
            texts[path] = pbtxt.write(PROFILES[profile](config, network.serving.gpu_batch), comment)
    models = {path.parent.name: read(path) for path in MODELS.glob("*/config.pbtxt")} | written
    segment = read(ENSEMBLES / SEGMENT / "config.pbtxt")
    for network in networks:
        if network.harmonizer:
            comment = f"Written by `make configs` from export/networks/{network.name}.py."
            for pipeline in ensembles.pipelines(network.name, network.harmonizer, models, segment):
                texts[ENSEMBLES / pipeline.name / "config.pbtxt"] = pbtxt.write(pipeline, comment)
    return texts | dict(loop_pipelines())


def loop_pipelines() -> Iterator[tuple[Path, str]]:
    """The pipelines that stream, with the settings that all have, and their companions that answer at once."""
    for path in sorted(ENSEMBLES.glob("*/config.pbtxt")):
        text = loops.with_settings(path.read_text())
        config = text_format.Parse(text, ModelConfig())
        if config.model_transaction_policy.decoupled:
            yield path, text
            comment = f"Written by `make configs` from ensembles/{config.name}/config.pbtxt."
            once = loops.at_once(config)
            yield ENSEMBLES / once.name / "config.pbtxt", pbtxt.write(once, comment)


def default(network: Network) -> ModelConfig:
    """The configuration for ONNX Runtime on CPUs, warmed up at the least resolution."""
    serving = network.serving
    config = ModelConfig(
        name=network.name, backend="onnxruntime", default_model_filename=MODEL, max_batch_size=serving.batch
    )
    for tensors, field in ((network.inputs, config.input), (network.outputs, config.output)):
        for tensor in tensors:
            field.add(name=tensor.name, data_type=DataType.Value(f"TYPE_{tensor.kind}"), dims=tensor.dims)
    config.instance_group.add(count=1, kind=ModelInstanceGroup.KIND_CPU)
    config.version_policy.latest.num_versions = 1
    patience = {} if serving.patience_seconds is None else {PATIENCE: str(serving.patience_seconds)}
    unless_empty = {UNLESS_EMPTY: network.unless_empty} if network.unless_empty else {}
    for key, value in {**serving.session, **patience, **unless_empty}.items():
        config.parameters[key].CopyFrom(ModelParameter(string_value=value))
    config.dynamic_batching.max_queue_delay_microseconds = serving.delay_microseconds
    warmup, zeros = config.model_warmup.add(name="zeros", batch_size=1), network.warmup()
    for tensor in network.inputs:
        # Zeros would not reach a network that is not asked for them.
        values = "random_data" if tensor.name == network.unless_empty else "zero_data"
        given = ModelWarmup.Input(
            data_type=DataType.Value(f"TYPE_{tensor.kind}"), dims=zeros[tensor.name].shape[1:], **{values: True}
        )
        warmup.inputs[tensor.name].CopyFrom(given)
    return config


def read(path: Path) -> ModelConfig:
    return text_format.Parse(path.read_text(), ModelConfig())
