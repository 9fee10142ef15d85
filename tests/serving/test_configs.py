from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import DataType, ModelConfig, ModelInstanceGroup

from concord.repository.loops import SUFFIX
from concord.repository.profiles import PROFILES as ENGINES
from concord.server.installation import MODEL_REPOSITORIES
from concord.variants import TUNED
from export.configs import generated
from export.networks import NETWORKS, every

ON_GPU = ("cuda", "tensorrt")
EITHER = "fp16"


def read(path: Path) -> ModelConfig:
    return text_format.Parse(path.read_text(), ModelConfig())


MODELS, PIPELINES = (sorted(folder.glob("*/config.pbtxt")) for folder in MODEL_REPOSITORIES)
ENSEMBLES = [path for path in PIPELINES if read(path).HasField("ensemble_scheduling")]
LOOPS = [path for path in PIPELINES if path not in ENSEMBLES]  # and what answers in one process of its own
PROFILES = sorted(path for path in MODEL_REPOSITORIES[0].glob("*/configs/*.pbtxt") if path.stem != TUNED)
GENERATED = generated()


def named(paths: list[Path]) -> list:
    return [pytest.param(path, id=f"{path.relative_to(MODEL_REPOSITORIES[0].parent)}") for path in paths]


def signature(config: ModelConfig) -> dict:
    return {
        kind: {(tensor.name, tensor.data_type, tuple(tensor.dims)) for tensor in tensors}
        for kind, tensors in (("input", config.input), ("output", config.output))
    }


@pytest.mark.parametrize("path", named(list(GENERATED)))
def test_a_committed_configuration_is_the_generated_one(path):
    assert path.read_text() == GENERATED[path], "run `make configs`"


def test_no_configuration_of_a_network_is_kept_by_hand():
    assert set(PROFILES) <= GENERATED.keys()
    assert {path for path in MODELS if read(path).default_model_filename} <= GENERATED.keys()


@pytest.mark.parametrize("path", named(MODELS + PIPELINES))
def test_every_config_is_complete(path):
    config = read(path)
    assert config.name == path.parent.name
    assert config.max_batch_size > 0
    assert config.version_policy.latest.num_versions == 1
    assert (path.parent / "1").is_dir()
    for tensor in (*config.input, *config.output):
        assert tensor.data_type != DataType.TYPE_INVALID and tensor.dims


@pytest.mark.parametrize("path", named(MODELS + PROFILES))
def test_every_model_runs_once_and_batches(path):
    config = read(path)
    [group] = config.instance_group
    assert group.count == 1
    kind = "GPU" if path.stem in ON_GPU else "AUTO" if path.stem == EITHER else "CPU"
    assert group.kind == ModelInstanceGroup.Kind.Value(f"KIND_{kind}")
    assert config.dynamic_batching.max_queue_delay_microseconds <= 1000


@pytest.mark.parametrize("path", named(MODELS + PROFILES + LOOPS))
def test_no_model_has_a_queue_policy(path):
    # With one, Triton 2.51 looks for waiting requests only when a new one comes, or every half second: a model whose
    # instance has just become free idles. The facade and the loops bound what waits.
    batching = read(path).dynamic_batching
    assert not batching.HasField("default_queue_policy") and not batching.priority_levels


@pytest.mark.parametrize("network", every(), ids=lambda network: network.name)
def test_every_profile_has_the_tensors_of_the_default(network):
    default = read(MODEL_REPOSITORIES[0] / network.name / "config.pbtxt")
    profiles = {path.stem: read(path) for path in PROFILES if path.parent.parent.name == network.name}
    assert profiles.keys() == set(network.serving.profiles)
    assert default.backend == "onnxruntime"
    for profile in profiles.values():
        assert signature(profile) == signature(default)


def test_a_profile_is_its_engine_and_its_file():
    configs = {path.stem: read(path) for path in PROFILES}
    found = {name: (each.backend, each.platform, each.default_model_filename) for name, each in configs.items()}
    assert found == {
        "openvino": ("openvino", "", "model.onnx"),
        "bf16": ("openvino", "", "model.onnx"),
        "int8": ("openvino", "", "model.int8.xml"),
        "cuda": ("onnxruntime", "", "model.onnx"),
        "fp16": ("onnxruntime", "", "model.fp16.onnx"),
        "tensorrt": ("tensorrt", "tensorrt_plan", "model.plan"),
    }
    assert found.keys() == ENGINES.keys()
    assert {name for name, each in configs.items() if "HINT_BF16" in each.parameters} == {"bf16", "int8"}


@pytest.mark.parametrize("path", named([path for path in MODELS + PROFILES if read(path).name in NETWORKS]))
def test_networks_are_warmed_up_with_every_input(path):
    config = read(path)
    [warm_up] = config.model_warmup
    assert set(warm_up.inputs) == {tensor.name for tensor in config.input}
    for tensor in config.input:
        assert warm_up.inputs[tensor.name].data_type == tensor.data_type
        sizes = zip(warm_up.inputs[tensor.name].dims, tensor.dims, strict=True)
        assert all(given == size or (size == -1 and given > 0) for given, size in sizes)


@pytest.mark.parametrize("network", [network for network in every() if network.axes], ids=lambda network: network.name)
def test_a_network_with_dynamic_sides_takes_every_resolution(network):
    config = read(MODEL_REPOSITORIES[0] / network.name / "config.pbtxt")
    for tensor in (*config.input, *config.output):
        assert list(tensor.dims).count(-1) == (0 if tensor.name in ("TIMESTEP", "STATES", "PRIOR_NOISE") else 2)


@pytest.mark.parametrize("path", named([path for path in LOOPS if read(path).model_transaction_policy.decoupled]))
def test_a_loop_runs_once_too_and_both_have_one_signature(path):
    first, second = read(path), read(path.parent.with_name(f"{path.parent.name}{SUFFIX}") / path.name)
    assert signature(first) == signature(second)
    assert first.parameters.items() <= second.parameters.items()
    assert not second.model_transaction_policy.decoupled
    for loop in (first, second):
        [group] = loop.instance_group
        assert (group.count, group.kind) == (1, ModelInstanceGroup.KIND_CPU)
        assert loop.input[0].name in ("IMAGE", "TEXT") and not loop.input[0].optional


@pytest.mark.parametrize("path", named(ENSEMBLES))
def test_an_ensemble_fits_the_models_it_is_made_of(path):
    ensemble = read(path)
    models = {config.parent.name: read(config) for config in MODELS}
    types = {tensor.name: (tensor.data_type, list(tensor.dims)) for tensor in ensemble.input}
    for step in ensemble.ensemble_scheduling.step:
        model = models[step.model_name]
        assert model.max_batch_size >= ensemble.max_batch_size
        assert set(step.input_map) == {tensor.name for tensor in model.input}
        for tensor in model.input:
            assert types[step.input_map[tensor.name]] == (tensor.data_type, list(tensor.dims))
        outputs = {tensor.name: (tensor.data_type, list(tensor.dims)) for tensor in model.output}
        types |= {step.output_map[name]: outputs[name] for name in step.output_map}
    for tensor in ensemble.output:
        assert types[tensor.name] == (tensor.data_type, list(tensor.dims))


@pytest.mark.parametrize("path", named(ENSEMBLES))
def test_no_step_of_an_ensemble_runs_beside_another(path):
    """A step that fails while another runs makes Triton 2.51 answer twice and then hang for good."""
    ensemble = read(path)
    known = {tensor.name for tensor in ensemble.input}
    waiting = list(ensemble.ensemble_scheduling.step)
    while waiting:
        ready = [step for step in waiting if set(step.input_map.values()) <= known]
        assert len(ready) == 1, [step.model_name for step in ready]
        known |= set(ready[0].output_map.values())
        waiting.remove(ready[0])
