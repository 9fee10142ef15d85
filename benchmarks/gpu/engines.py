"""Calls that run a network once in an engine on a GPU, from arrays in the processor's memory to an array there."""

import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from google.protobuf import json_format  # type: ignore[import-untyped]
from numpy.typing import NDArray
from torch import Tensor, nn
from tritonclient.grpc.model_config_pb2 import ModelConfig  # type: ignore[import-untyped]

from concord.session import session
from export import engine_profiles, tensorrt
from export.judgement import signal_to_noise
from export.network import Feeds, Network

Call: TypeAlias = Callable[[], NDArray[Any]]


def in_pytorch(network: nn.Module, feeds: Feeds, device: str, half: bool, compiled: bool = False) -> Call:
    """PyTorch, eager or compiled. In half, weights are FP16, and autocast chooses what is computed in FP32."""
    torch.backends.cudnn.allow_tf32 = False  # FP32 is what the others are compared with
    network = network.to(device)
    network = network.half() if half else network
    inputs = [torch.from_numpy(value) for value in feeds.values()]
    called: Any = torch.compile(network) if compiled else network

    def run() -> NDArray[Any]:
        with torch.inference_mode(), torch.autocast(device, torch.float16, enabled=half):
            answer: Tensor = called(*(tensor.to(device) for tensor in inputs))
            array: NDArray[Any] = answer.float().cpu().numpy()
            return array

    return run


def in_onnxruntime(path: Path, feeds: Feeds, kind: str, settings: ModelConfig) -> Call:
    """ONNX Runtime, as the backend of this name runs it on a kind of instance, "CPU" or "GPU"."""
    opened = session(path, json_format.MessageToDict(settings, preserving_proto_field_name=True), kind)

    def run() -> NDArray[Any]:
        array: NDArray[Any] = opened.run(None, dict(feeds))[0]
        return array

    return run


def flavour() -> str:
    """The TensorRT that is installed; empty if none is."""
    return next((each for each in tensorrt.FLAVOURS if importlib.util.find_spec(each.replace("-", "_"))), "")


def library() -> tensorrt.Library:
    """The TensorRT that is installed, for the GPU at hand; raises EngineError where there is none."""
    return tensorrt.load(flavour() or next(iter(tensorrt.FLAVOURS)), None)


def write_plan(library: tensorrt.Library, network: Network, graph: Path, plan: Path) -> None:
    """Builds the engine of a graph in half precision, without a comparison; raises EngineError."""
    log = tensorrt.error_log(library.trt)
    builder = library.trt.Builder(log)
    parsed = tensorrt.parse(library, builder, log, graph, network.name)
    profiles = engine_profiles.defaults(network.inputs, network.serving.gpu_batch)
    built = tensorrt.serialize(library, builder, parsed, tensorrt.configure(library, builder, profiles, "fp16"))
    if built is None:
        raise engine_profiles.EngineError(f"{network.name}: {library} cannot build it: {log.errors[-1:]}")
    plan.write_bytes(memoryview(built))


def in_tensorrt(plan: Path, feeds: Feeds) -> Call:
    """TensorRT, in a stream of its own."""
    trt: Any = importlib.import_module(flavour().replace("-", "_"))
    runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
    engine = runtime.deserialize_cuda_engine(plan.read_bytes())
    context, stream = engine.create_execution_context(), torch.cuda.Stream()
    names = [engine.get_tensor_name(number) for number in range(engine.num_io_tensors)]
    inputs = {name: torch.from_numpy(feeds[name]) for name in names if name in feeds}
    places = {name: tensor.cuda() for name, tensor in inputs.items()}
    for name, tensor in inputs.items():
        context.set_input_shape(name, tuple(tensor.shape))
    [output] = [name for name in names if name not in inputs]
    answer = torch.empty(tuple(context.get_tensor_shape(output)), device="cuda")
    for name, tensor in (*places.items(), (output, answer)):
        context.set_tensor_address(name, tensor.data_ptr())
    torch.cuda.synchronize()

    def run() -> NDArray[Any]:
        assert engine and runtime  # the context needs them
        with torch.cuda.stream(stream):
            for name, tensor in inputs.items():
                places[name].copy_(tensor)
            context.execute_async_v3(stream.cuda_stream)
            array: NDArray[Any] = answer.cpu().numpy()
            return array

    return run


def decibels(answer: NDArray[Any], expected: NDArray[Any]) -> float:
    """Signal to noise, at most 200 dB.

    Raises:
        ValueError: the answer is not finite.
    """
    if not np.isfinite(answer).all():
        raise ValueError("the answer is not finite")
    return signal_to_noise([[expected]], [[answer]])
