"""Steps that time a network of published size in every engine, with random weights."""

import copy
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.floors import diffusion, published
from benchmarks.floors.networks import sample
from benchmarks.gpu import FOLDER
from benchmarks.gpu.engines import Call, decibels, in_onnxruntime, in_pytorch, in_tensorrt, library, write_plan
from benchmarks.subjects import HEAVY, LIGHT, diffusion_networks, text_guided_networks
from concord.instruments.timing import in_turns, percentiles
from concord.repository.profiles import FP16_FILE, PLAN_FILE
from concord.server.installation import MODEL_REPOSITORIES
from concord.variants import variants
from export import fp16
from export.network import Feeds, Network
from export.networks import declared
from export.networks.unet import ServedUnet
from export.networks.vae_decoder import ServedVaeDecoder
from export.networks.vae_encoder import ServedVaeEncoder
from export.onnx_file import write
from export.publication import MODEL, Staged
from export.runtime_form import Form, fold_text, rewrite

Attention = Literal["fused", "plain"]
FORMS: dict[Attention, Path] = {"fused": FOLDER / "published", "plain": FOLDER / "plain"}
"""Folders of the networks as they are served, and of those that TensorRT reads, where they are others."""
EXACT = "PyTorch FP32"
"""The others are compared with it."""
COMPILED, TENSORRT = "PyTorch compiled FP16", "TensorRT FP16"


@dataclass
class Engines:
    """What is known of each engine: the p50 in milliseconds, the signal to noise against `EXACT`, or the problem."""

    milliseconds: dict[str, float] = field(default_factory=dict)
    decibels: dict[str, float] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)

    def attempt(self, engine: str, action: Callable[[], object]) -> None:
        """Does it, unless the engine has a problem already; if it fails, that is the engine's problem."""
        if engine not in self.problems:
            try:
                action()
            except Exception as error:
                traceback.print_exc()
                self.problems[engine] = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"[:300]


def names() -> tuple[str, ...]:
    """The networks of the harmonizers and of the diffusion."""
    harmonizers = (*text_guided_networks(HEAVY), *text_guided_networks(LIGHT))
    return tuple(dict.fromkeys((*harmonizers, *diffusion_networks())))


def subject(name: str) -> tuple[Network, nn.Module, Feeds]:
    """A network as it is served, and inputs of batch 1 at the default resolution."""
    if name not in diffusion_networks():
        [(model, module)] = [found for found in published.networks() if found[0].name == name]
        return model, module, dict(sample(model))
    model, pipeline, feeds = declared(name), published.pipeline(), diffusion.feeds(published.SIZE)
    assert pipeline.states is not None
    vae: Any = pipeline.vae
    factor = vae.config.scaling_factor
    served = (
        ServedVaeEncoder(vae.encoder, vae.quant_conv, factor),
        ServedUnet(pipeline.unet, pipeline.states),
        ServedVaeDecoder(vae.decoder, vae.post_quant_conv, factor),
    )
    module = dict(zip(diffusion_networks(), served, strict=True))[name]
    return model, module.eval(), {tensor.name: feeds[tensor.name] for tensor in model.inputs}


def exported(model: Network, module: nn.Module, attention: Attention) -> Path:
    """The folder of the exported network, in FP32 and FP16; it is made if it is missing, which uses up the module."""
    version = FORMS[attention] / model.name / "1"
    if not (version / FP16_FILE).exists():
        if model.name in diffusion_networks():
            if isinstance(module, ServedUnet):
                fold_text(module, cast(Tensor, module.states))
            rewrite(module, Form(attention, "direct"))
        with Staged(FORMS[attention], model.name) as staged:
            write(staged, module, model)
            staged.write_record(published.RECORD)
            staged.switch()
        fp16.halved(model.name, version / MODEL, version)
    return version


def planned(name: str) -> Iterator[Any]:
    """A step that only prepares: the TensorRT engine of a network whose served form TensorRT does not read."""
    trt = library()  # fails before minutes of work, if at all
    model, module, _ = subject(name)
    version = exported(model, module, "plain")
    write_plan(trt, model, version / FP16_FILE, version / PLAN_FILE)
    yield
    yield {}


def measured(name: str, device: str = "cuda", rounds: int = 30) -> Iterator[Any]:
    """A step that times one network."""
    model, module, feeds = subject(name)
    whole, half = copy.deepcopy(module), copy.deepcopy(module)
    found = Engines()
    version, plan = exported(model, module, "fused"), FORMS["plain"] / name / "1" / PLAN_FILE
    if name not in diffusion_networks():
        plan = version / PLAN_FILE
        found.attempt(TENSORRT, lambda: write_plan(library(), model, version / FP16_FILE, plan))
    compiled = in_pytorch(half, feeds, device, half=True, compiled=True)
    found.attempt(COMPILED, compiled)
    yield
    kind = "GPU" if device == "cuda" else "CPU"
    profiles = variants(MODEL_REPOSITORIES)[name]
    loaders: dict[str, Callable[[], Call]] = {
        EXACT: lambda: in_pytorch(whole, feeds, device, half=False),
        "PyTorch FP16": lambda: in_pytorch(half, feeds, device, half=True),
        COMPILED: lambda: compiled,
        "ONNX Runtime FP32": lambda: in_onnxruntime(version / MODEL, feeds, kind, profiles["cuda"].settings),
        "ONNX Runtime FP16": lambda: in_onnxruntime(version / FP16_FILE, feeds, kind, profiles["fp16"].settings),
        TENSORRT: lambda: in_tensorrt(plan, feeds),
    }
    answers: dict[str, NDArray[Any]] = {}
    calls: dict[str, Call] = {}

    def load(engine: str) -> None:
        call = loaders[engine]()
        answers[engine] = call()
        found.decibels[engine] = decibels(answers[engine], answers[EXACT])
        calls[engine] = call

    for engine in loaders:
        found.attempt(engine, partial(load, engine))
    times = in_turns(calls, rounds, warm=5)
    found.milliseconds.update({engine: percentiles(each)["p50"] for engine, each in times.items()})
    yield asdict(found)
