"""What tests of latent diffusion's models have in common: a host, and files as the authors write them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from concord.loops.host import Sample


class TorchHost:
    """Asks networks in torch, by their roles, in the order in which a loop gives their inputs."""

    def __init__(self, networks: Mapping[str, nn.Module]) -> None:
        self.networks = networks
        self.reported: list[tuple[int, int]] = []
        self.batches: list[tuple[str, int]] = []

    async def ask(self, model: str, inputs: Sample, outputs: Sequence[str]) -> Sample:
        [answer] = await self.ask_together(model, [inputs], outputs)
        return answer

    async def ask_together(self, model: str, samples: Sequence[Sample], outputs: Sequence[str]) -> list[Sample]:
        self.batches.append((model, len(samples)))
        with torch.no_grad():
            answers = [
                self.networks[model](*(torch.from_numpy(np.array(value))[None] for value in sample.values()))
                for sample in samples
            ]
        return [{outputs[0]: answer[0].numpy()} for answer in answers]

    async def compute(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments)

    @contextmanager
    def stepping(self, _model: str) -> Iterator[None]:
        yield

    async def report(self, step: int, total: int, _preview: bytes) -> None:
        self.reported.append((step, total))


def published(network: nn.Module, averaged: nn.Module | None) -> dict[str, torch.Tensor]:
    """The weights as they lie in the authors' file."""
    weights = dict(network.state_dict())
    also = {
        key.replace("first_stage_model", "cond_stage_model"): value for key, value in weights.items() if "first" in key
    }
    schedule = {"betas": torch.ones(1000), "alphas_cumprod": torch.ones(1000), "model_ema.decay": torch.tensor(0.9999)}
    averages = {
        "model_ema." + key.removeprefix("model.").replace(".", ""): value
        for key, value in (averaged.state_dict().items() if averaged else ())
        if key.startswith("model.")
    }
    return weights | also | (schedule if averaged else {}) | averages
