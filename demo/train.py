"""Trains the demo weights on generated scenes and bundled photographs: `python -m demo.train NETWORK`.

Each stage is SIZE:STEPS:BATCH:RATE. The networks are trained at small sizes first, where attention is far cheaper, and
last at the published size. The learning rate is constant within a stage and falls linearly to zero in the last one.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from concord import processor
from demo import sizes
from demo.tasks import Task
from demo.tasks.autoencoder import Autoencoder
from demo.tasks.clip_harmonizer import ClipHarmonizer
from demo.tasks.denoiser import Denoiser
from demo.tasks.drawer import Drawer
from demo.tasks.end_to_end import EndToEnd
from demo.tasks.harmonizer import Harmonizer
from demo.tasks.inpainter import Inpainter
from demo.tasks.referrer import Referrer
from demo.tasks.segmenter import Segmenter
from demo.tasks.tiny_autoencoder import TinyAutoencoder

SLOW = 0.1  # of the learning rate
AVERAGING = 0.998  # of the exponential moving average of the weights
TASKS: dict[str, Callable[[], Task]] = {
    "cris": Segmenter,
    "ht": lambda: Harmonizer(sizes.HT),
    "dht": lambda: Harmonizer(sizes.DHT),
    "clip_ht": ClipHarmonizer,
    "crisht": EndToEnd,
    "vae": Autoencoder,
    "tiny_vae": TinyAutoencoder,
    "unet": Denoiser,
    "referring": Referrer,
    "diffir": Inpainter,
    "ldm": Drawer,
}


@dataclass(frozen=True)
class Stage:
    size: int
    steps: int
    batch: int
    rate: float

    @classmethod
    def parse(cls, text: str) -> "Stage":
        size, steps, batch, rate = text.split(":")
        return cls(int(size), int(steps), int(batch), float(rate))


def train(name: str, stages: list[Stage], seed: int, start: Path | None, output: Path | None) -> None:
    """Trains, and writes the averaged weights every 500 steps and at the end."""
    torch.manual_seed(seed)
    task = TASKS[name]()
    weights = task.read(start) if start else None
    # Without instructions for it, BF16 is emulated, at half the pace.
    in_half = task.in_half and not set(processor.BF16).isdisjoint(processor.kinds())
    with ProcessPoolExecutor(1) as pool:  # makes the next batch during a training step
        for number, stage in enumerate(stages):
            module = task.build(stage.size)
            core = module.network
            assert isinstance(core, nn.Module)
            if weights:
                core.load_state_dict(weights)
            groups = grouped(module, task.slow)
            parameters = list(module.parameters())
            present = core.state_dict()
            average = {key: value.clone() for key, value in present.items() if value.dtype.is_floating_point}
            averaged = present | average
            optimizer = torch.optim.AdamW(groups, weight_decay=1e-4, betas=(0.9, 0.98), fused=True)
            last = number == len(stages) - 1
            losses: list[float] = []
            upcoming = pool.submit(task.batch, stage.size, stage.batch, (seed, number, 0))
            began = time.monotonic()
            for step in range(1, stage.steps + 1):
                warm = min(1.0, step / 100)
                rate = stage.rate * warm * ((1 - step / stage.steps) if last else 1)
                for group in optimizer.param_groups:
                    group["lr"] = rate * group["pace"]
                batch = upcoming.result()
                upcoming = pool.submit(task.batch, stage.size, stage.batch, (seed, number, step))
                with torch.autocast("cpu", torch.bfloat16, enabled=in_half):
                    loss = task.loss(module, batch)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(parameters, 1.0)
                optimizer.step()
                keep = min(AVERAGING, step / (step + 10))
                get_ema_multi_avg_fn(keep)([*average.values()], [present[key] for key in average], step)
                losses.append(loss.item())
                if step % 100 == 0:
                    pace = (time.monotonic() - began) / step
                    mean = np.mean(losses[-100:])
                    print(f"{name} {stage.size} step {step}/{stage.steps} loss {mean:.4f} {pace:.2f} s", flush=True)
                if step % 500 == 0 or step == stage.steps:
                    task.write({key: value.clone() for key, value in averaged.items()}, output or task.output)
            weights = averaged


def grouped(module: nn.Module, slow: Sequence[str]) -> list[dict[str, Any]]:
    """Parameters by their `pace`, the factor of the learning rate: lower where a name has one of the parts `slow`."""
    paces: dict[float, list[nn.Parameter]] = {1.0: [], SLOW: []}
    for name, parameter in module.named_parameters():
        paces[SLOW if any(part in name for part in slow) else 1.0].append(parameter)
    return [{"params": parameters, "pace": pace} for pace, parameters in paces.items() if parameters]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network", choices=TASKS)
    parser.add_argument("--stage", type=Stage.parse, action="append", required=True, metavar="SIZE:STEPS:BATCH:RATE")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--start", type=Path, help="weights to go on from")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    train(arguments.network, arguments.stage, arguments.seed, arguments.start, arguments.output)


if __name__ == "__main__":
    main()
