"""The floor of a diffusion: its three networks in this process, in ONNX Runtime or in diffusers, without a server.

There are no sampler, masks or image files, so it does less than any pipeline, on inputs of the sizes of the loop's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from benchmarks.floors import work
from benchmarks.floors.networks import running
from benchmarks.subjects import diffusion, diffusion_networks, diffusion_steps
from concord.instruments.started_server import served_config
from concord.samplers import make_sampler
from concord.session import run_options, session_options
from concord.squash import LATENT_STRIDE
from concord_client import Progress
from concord_client.steps import OnStep
from export.networks.latent_diffusion import LATENT_CHANNELS
from export.pipeline import Pipeline
from export.publication import exported

Feeds = dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Networks:
    """Calls that run one network once at batch 1."""

    encode: Callable[[], object]
    denoise: Callable[[], object]
    decode: Callable[[], object]

    def harmonize(self, steps: int, on_step: OnStep | None = None) -> None:
        """One encode, `steps` UNet calls, one decode; `on_step` is called after every step."""
        self.encode()
        for step in range(1, steps + 1):
            self.denoise()
            if on_step is not None:
                on_step(Progress(step, steps))
        self.decode()


def onnx_runtime(repository: Path, grpc_url: str, size: int) -> Networks:
    """The networks of the server's repository with the options that it reports, for squares of `size` pixels."""
    inputs = feeds(size)

    def call(name: str) -> Callable[[], object]:
        config = served_config(grpc_url, name)
        session = onnxruntime.InferenceSession(
            repository / name / "1" / "model.onnx", session_options(config), providers=["CPUExecutionProvider"]
        )
        return running(session, inputs, run_options(config))

    return Networks(*map(call, diffusion_networks()))


def eager(pipeline: Pipeline, size: int, threads: int) -> Networks:
    """diffusers' modules, called as `StableDiffusionInpaintPipeline` calls them without guidance, and nothing else."""
    torch.set_num_threads(threads)
    assert pipeline.states is not None
    unet: Any = pipeline.unet
    vae: Any = pipeline.vae
    states, factor = pipeline.states[None], vae.config.scaling_factor
    inputs = {name: torch.from_numpy(value) for name, value in feeds(size).items()}
    image = inputs["COMPOSITE"].permute(0, 3, 1, 2) / 127.5 - 1
    sample = torch.cat([inputs[name] for name in ("LATENT", "LATENT_MASK", "COMPOSITE_LATENT")], 1)
    inference = torch.inference_mode()
    return Networks(
        inference(lambda: vae.encode(image).latent_dist.mode() * factor),
        inference(lambda: unet(sample, inputs["TIMESTEP"][:, 0], states).sample),
        inference(lambda: vae.decode(inputs["LATENT"] / factor).sample),
    )


def gigaflop(repository: Path, size: int) -> dict[str, float]:
    """Work of a call of each network of a repository, for squares of `size` pixels."""
    return {name: work.gigaflop(exported(repository, name), feeds(size)) for name in diffusion_networks()}


def feeds(size: int) -> Feeds:
    """Inputs of all three networks for a composite of `size` x `size`: a noise image, standard normal latents."""
    generator = np.random.default_rng(0)
    side = size // LATENT_STRIDE
    latent = generator.standard_normal((1, LATENT_CHANNELS, side, side), np.float32)
    return {
        "COMPOSITE": generator.integers(0, 256, (1, size, size, 3), np.uint8),
        "LATENT": latent,
        "TIMESTEP": make_sampler(str(diffusion().settings["SAMPLER"].default), diffusion_steps()).timesteps[None, :1],
        "LATENT_MASK": np.ones((1, 1, side, side), np.float32),
        "COMPOSITE_LATENT": latent[:, ::-1].copy(),
    }
