"""The profiles of a network: its default configuration for ONNX Runtime on CPUs, as another engine serves it.

Each is a function of the default configuration and of the largest batch on a GPU. A further engine is one function
here, one entry of `PROFILES`, and a backend.
"""

from collections.abc import Callable

from tritonclient.grpc.model_config_pb2 import (  # type: ignore[import-untyped]
    ModelConfig,
    ModelInstanceGroup,
    ModelParameter,
)

INT8_FILE, FP16_FILE, PLAN_FILE = "model.int8.xml", "model.fp16.onnx", "model.plan"
HINT_BF16 = "HINT_BF16"  # of the backend `openvino`
PATIENCE = "canary_patience_seconds"
_SESSION = ("session.", "memory.")  # parameters of ONNX Runtime on CPUs begin so


def openvino(default: ModelConfig, gpu_batch: int) -> ModelConfig:
    """OpenVINO reads the exported network itself, and computes in FP32."""
    config = _without_session(default)
    config.backend = "openvino"
    return config


def bf16(default: ModelConfig, gpu_batch: int) -> ModelConfig:
    """OpenVINO computes in BF16 what is FP32 in the file, where the CPU has it."""
    config = openvino(default, gpu_batch)
    config.parameters[HINT_BF16].CopyFrom(ModelParameter(string_value="YES"))
    return config


def int8(default: ModelConfig, gpu_batch: int) -> ModelConfig:
    """OpenVINO reads the quantized network; what is not INT8 in it is computed in BF16."""
    config = bf16(default, gpu_batch)
    config.default_model_filename = INT8_FILE
    return config


def cuda(default: ModelConfig, gpu_batch: int) -> ModelConfig:
    """ONNX Runtime on a GPU, whose canary needs no patience."""
    config = _without_session(default)
    config.parameters.pop(PATIENCE, None)
    config.max_batch_size = gpu_batch
    [group] = config.instance_group
    group.kind = ModelInstanceGroup.KIND_GPU
    return config


def fp16(default: ModelConfig, gpu_batch: int) -> ModelConfig:
    """ONNX Runtime with the network in FP16: on a GPU, or without one on the CPU, which is slow."""
    config = cuda(default, gpu_batch)
    config.default_model_filename = FP16_FILE
    [group] = config.instance_group
    group.kind = ModelInstanceGroup.KIND_AUTO
    return config


def tensorrt(default: ModelConfig, gpu_batch: int) -> ModelConfig:
    """A TensorRT engine of the network."""
    config = cuda(default, gpu_batch)
    config.backend, config.platform = "tensorrt", "tensorrt_plan"
    config.default_model_filename = PLAN_FILE
    return config


PROFILES: dict[str, Callable[[ModelConfig, int], ModelConfig]] = {
    profile.__name__: profile for profile in (openvino, bf16, int8, cuda, fp16, tensorrt)
}
EXACT = ("cuda", "tensorrt")
"""The profiles of a network that is not calibrated: those that serve the exported weights in FP32 on a GPU."""


def _without_session(default: ModelConfig) -> ModelConfig:
    config = ModelConfig()
    config.CopyFrom(default)
    for key in [key for key in config.parameters if key.startswith(_SESSION)]:
        del config.parameters[key]
    return config
