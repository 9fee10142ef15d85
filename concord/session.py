"""ONNX Runtime sessions from a Triton model configuration, as Triton's C++ ``onnxruntime`` backend reads it.

The parameters and their meaning follow ``src/onnxruntime.cc`` of triton-inference-server/onnxruntime_backend, so
that one ``config.pbtxt`` means the same to both. Beyond it, every parameter that starts with ``session.`` is passed
to ONNX Runtime as a session configuration entry (the C++ backend passes only
``session.use_device_allocator_for_initializers``).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import onnxruntime as ort

from concord.model_config import InvalidParameter, parameters

_Value = TypeVar("_Value")

_GRAPH_LEVELS = {
    -1: ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    0: ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
    1: ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    2: ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
}
_BOOLEANS = {"1": True, "true": True, "on": True, "0": False, "false": False, "off": False}
_PROVIDERS = {"CPU": "CPUExecutionProvider", "GPU": "CUDAExecutionProvider"}
_SHRINKAGE = "memory.enable_memory_arena_shrinkage"
_EXECUTION_MODES = {"0": ort.ExecutionMode.ORT_SEQUENTIAL, "1": ort.ExecutionMode.ORT_PARALLEL}


def session(network: Path, config: Mapping[str, Any], kind: str = "CPU", device: int = 0) -> ort.InferenceSession:
    """A network's session on a kind of instance, "CPU" or "GPU"; `device` is the number of the GPU.

    Raises:
        InvalidParameter: see `session_options`.
        RuntimeError: ONNX Runtime cannot run networks on a GPU here.
    """
    name = provider(kind)
    options: dict[str, str] = {}
    if kind == "GPU":
        ort.preload_dlls()  # the libraries of NVIDIA's packages, where they lie beside ONNX Runtime
        options = cuda_options(config, device)
    opened = ort.InferenceSession(network, session_options(config), providers=[(name, options)])
    # Without CUDA's libraries it would run the network on the processor, and say so in its log only.
    if name not in opened.get_providers():
        raise RuntimeError(
            f"{name} does not start: no GPU, or no CUDA and cuDNN: pip install 'onnxruntime-gpu[cuda,cudnn]'"
        )
    return opened


def cuda_options(config: Mapping[str, Any], device: int = 0) -> dict[str, str]:
    """Options of ONNX Runtime's CUDA provider: the GPU's number, and the parameters of the accelerator ``cuda``."""
    accelerators = config.get("optimization", {}).get("execution_accelerators", {}).get("gpu_execution_accelerator", ())
    given = [each.get("parameters", {}) for each in accelerators if each["name"] == "cuda"]
    return {key: value for parameters in given for key, value in parameters.items()} | {"device_id": str(device)}


def session_options(config: Mapping[str, Any]) -> ort.SessionOptions:
    """Session options of a model configuration (Triton's JSON form).

    Honours ``intra_op_thread_count``, ``inter_op_thread_count``, ``execution_mode``, ``enable_mem_arena``,
    ``enable_mem_pattern``, ``session.*`` and ``optimization.graph.level`` (-1 basic, 0 all, 1 extended, 2 none).

    Raises:
        InvalidParameter: names the parameter, its value and what is allowed.
    """
    options = ort.SessionOptions()
    options.log_severity_level = 3
    level = int(config.get("optimization", {}).get("graph", {}).get("level", 0))
    options.graph_optimization_level = _chosen("optimization.graph.level", level, _GRAPH_LEVELS)
    for name, value in parameters(config).items():
        match name:
            case "intra_op_thread_count":
                options.intra_op_num_threads = _thread_count(name, value)
            case "inter_op_thread_count":
                options.inter_op_num_threads = _thread_count(name, value)
            case "execution_mode":
                options.execution_mode = _chosen(name, value, _EXECUTION_MODES)
            case "enable_mem_arena":
                options.enable_cpu_mem_arena = _chosen(name, value.lower(), _BOOLEANS)
            case "enable_mem_pattern":
                options.enable_mem_pattern = _chosen(name, value.lower(), _BOOLEANS)
            case _ if name.startswith("session."):
                options.add_session_config_entry(name, value)
    return options


def provider(kind: str) -> str:
    """ONNX Runtime's provider for a kind of instance, "CPU" or "GPU"; RuntimeError if the package does not have it."""
    if (name := _PROVIDERS[kind]) not in ort.get_available_providers():
        raise RuntimeError(f"the installed onnxruntime has no {name}; use a profile with KIND_CPU")
    return name


def run_options(config: Mapping[str, Any]) -> ort.RunOptions:
    """Run options of a model configuration: honours ``memory.enable_memory_arena_shrinkage`` (such as ``cpu:0``)."""
    options = ort.RunOptions()
    if gives_memory_back(config):
        options.add_run_config_entry(_SHRINKAGE, parameters(config)[_SHRINKAGE])
    return options


def gives_memory_back(config: Mapping[str, Any]) -> bool:
    """Whether a model configuration has the arena's memory given back to the system after each run."""
    return _SHRINKAGE in parameters(config)


def _thread_count(name: str, value: str) -> int:
    try:
        count = int(value)
    except ValueError:
        count = -1
    if count < 0:
        raise InvalidParameter(name, f"is {value!r}", "a whole number; 0 leaves the choice to ONNX Runtime")
    return count


def _chosen(name: str, value: object, choices: Mapping[Any, _Value]) -> _Value:
    if value not in choices:
        raise InvalidParameter(name, f"is {value!r}", ", ".join(map(str, choices)))
    return choices[value]
