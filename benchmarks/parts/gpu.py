"""GPU measurements: a diffusion end to end, and its UNet in TensorRT and in PyTorch. Empty without a GPU."""

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import onnxruntime
import torch

from benchmarks import OUTPUT
from benchmarks.floors import diffusion as bare_diffusion
from benchmarks.floors.loop import asking
from benchmarks.floors.networks import Feeds
from benchmarks.floors.published import SIZE, pipeline, serving
from benchmarks.subjects import diffusion_networks, network
from concord.instruments.markdown import significant, table
from concord.instruments.timing import in_turns, percentiles
from concord_client import Client
from export import tensorrt
from export.pipeline import Pipeline
from export.pipelines import diffharmony
from export.runtime_form import Form

DEVICE = "cuda"
PROFILE = "cuda"
FOLDER = OUTPUT / "published_gpu"


@dataclass(frozen=True)
class Numbers:
    """The results; None if the package for one is not installed: an ONNX Runtime for CUDA, or a TensorRT."""

    device: str = "no GPU"
    diffharmony_ms: float | None = None
    tensorrt_over_eager: float | None = None
    tensorrt_over_compiled: float | None = None


def measure(rounds: int = 20) -> Numbers:
    if not torch.cuda.is_available():
        return Numbers()
    name = network("unet")
    if not (FOLDER / name).exists():
        diffharmony.publish(pipeline(), FOLDER, Form("plain", "direct"))
    whole, over = None, {}
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        whole = end_to_end(rounds)
    flavours = [name for name in tensorrt.FLAVOURS if importlib.util.find_spec(name.replace("-", "_"))]
    if flavours:
        tensorrt.build(name, FOLDER, flavours[0], "fp16")
        trt = importlib.import_module(flavours[0].replace("-", "_"))
        plan = FOLDER / name / "1" / "model.plan"
        over = unet(pipeline(), lambda feeds: in_tensorrt(trt, plan.read_bytes(), feeds), rounds)
    return Numbers(torch.cuda.get_device_name(), whole, **over)


def end_to_end(rounds: int) -> float:
    """p50 in milliseconds of a request with a mask."""
    with serving(FOLDER, only=diffusion_networks(), profile=PROFILE) as server, Client(server.grpc_url) as client:
        ask = asking(client, {"resolution": SIZE})
        return percentiles(in_turns({PROFILE: ask}, rounds)[PROFILE])["p50"]


def unet(seen: Pipeline, load: Callable[[Feeds], Callable[[], object]], rounds: int) -> dict[str, float]:
    """Time of a step in PyTorch FP16, eager and compiled, over that of the TensorRT engine."""
    feeds = bare_diffusion.feeds(SIZE)
    eager = in_pytorch(seen, feeds, DEVICE, lambda network: network)
    calls = {"eager": eager, "compiled": in_pytorch(seen, feeds, DEVICE, torch.compile), "tensorrt": load(feeds)}
    times = {name: percentiles(each)["p50"] for name, each in in_turns(calls, rounds, warm=3).items()}
    return {f"tensorrt_over_{name}": times[name] / times["tensorrt"] for name in ("eager", "compiled")}


def in_pytorch(seen: Pipeline, feeds: Feeds, device: str, compiled: Callable[[Any], Any]) -> Callable[[], object]:
    """A call that runs diffusers' UNet once in FP16 and waits for the device."""
    assert seen.states is not None
    inputs = {name: torch.from_numpy(value).to(device) for name, value in feeds.items()}
    sample = torch.cat([inputs[name] for name in ("LATENT", "LATENT_MASK", "COMPOSITE_LATENT")], 1).half()
    states = seen.states[None].to(device).half()
    unet: Any = seen.unet
    network = compiled(unet.to(device).half())

    def run() -> torch.Tensor:
        with torch.inference_mode():
            noise: torch.Tensor = network(sample, inputs["TIMESTEP"][:, 0], states).sample
            return noise.cpu()  # waits for the result, as a user does

    return run


def in_tensorrt(trt: Any, plan: bytes, feeds: Feeds) -> Callable[[], object]:
    """A call that runs a plan once and waits for the device, with those of the feeds that are its inputs."""
    runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
    loaded = runtime.deserialize_cuda_engine(plan)
    context, stream = loaded.create_execution_context(), torch.cuda.Stream()
    names = [loaded.get_tensor_name(number) for number in range(loaded.num_io_tensors)]
    inputs = {name: torch.from_numpy(feeds[name]).to(DEVICE) for name in names if name in feeds}
    for name, tensor in inputs.items():
        context.set_input_shape(name, tuple(tensor.shape))
    outputs = {
        name: torch.empty(tuple(context.get_tensor_shape(name)), device=DEVICE) for name in names if name not in inputs
    }
    for name, tensor in (inputs | outputs).items():
        context.set_tensor_address(name, tensor.data_ptr())

    def run() -> list[torch.Tensor]:
        context.execute_async_v3(stream.cuda_stream)
        stream.synchronize()
        return [tensor.cpu() for tensor in outputs.values()]

    return run


def section(numbers: Numbers) -> str:
    rows = {
        "DiffHarmony, 512 pixels, 5 steps, end to end (ms)": numbers.diffharmony_ms,
        "UNet in TensorRT FP16 over PyTorch eager FP16 (times as fast)": numbers.tensorrt_over_eager,
        "UNet in TensorRT FP16 over torch.compile FP16 (times as fast)": numbers.tensorrt_over_compiled,
    }
    written = [[what, "not measured" if number is None else significant(number)] for what, number in rows.items()]
    return "## On a GPU\n\n" + table(["", numbers.device], written)
