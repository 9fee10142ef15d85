"""GPU measurements: DiffHarmony end to end, and its UNet in TensorRT and in PyTorch. Empty without a GPU."""

import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnxruntime
import torch

from benchmarks.floors import diffusion as bare_diffusion
from benchmarks.floors import published
from benchmarks.floors.networks import Feeds
from benchmarks.parts.diffusion import asking
from benchmarks.parts.published_diffusion import COMPANIONS, SIZE, pipeline, placed, serving
from concord.instruments.stages import UNET
from concord.instruments.timing import in_turns, percentiles
from concord.loops.request import DEFAULT_STEPS
from concord.server.installation import MODEL_REPOSITORIES
from concord_client import Client, Diffusion
from export import tensorrt
from export.pipeline import Pipeline
from export.pipelines import diffharmony
from export.runtime_form import Form

DEVICE = "cuda"
PROFILE = "cuda"


def gpu(folder: Path, text_guided: Path, rounds: int = 20) -> dict[str, Any]:
    """The report's rows, without those whose package is not installed: an ONNX Runtime for CUDA, or a TensorRT.

    Args:
        folder, text_guided: keep the exported networks between runs, for GPUs, and CRIS and DHT+.
    """
    if not torch.cuda.is_available():
        return {}
    if not (folder / UNET).exists():
        diffharmony.publish(pipeline(), folder, Form("plain", "direct"))
    published.repository(MODEL_REPOSITORIES[0], text_guided, published.networks())
    found: dict[str, Any] = {"device": torch.cuda.get_device_name()}
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        found["diffharmony_ms"] = end_to_end(folder, text_guided, rounds)
    flavours = [name for name in tensorrt.FLAVOURS if importlib.util.find_spec(name.replace("-", "_"))]
    if flavours:
        tensorrt.build(UNET, folder, flavours[0], "fp16")
        trt = importlib.import_module(flavours[0].replace("-", "_"))
        plan = folder / UNET / "1" / "model.plan"
        found |= unet(pipeline(), lambda feeds: in_tensorrt(trt, plan.read_bytes(), feeds), rounds)
    return found


def end_to_end(folder: Path, text_guided: Path, rounds: int) -> float:
    """p50 in milliseconds of a request with a mask."""
    with serving(placed(folder, text_guided), COMPANIONS, PROFILE) as server, Client(server.grpc_url) as client:
        ask = asking(client, Diffusion(seed=0, steps=DEFAULT_STEPS, resolution=SIZE))
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
