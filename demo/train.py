"""Trains the demo weights on generated scenes and bundled photographs: `python -m demo.train cris|ht|dht`.

Each stage is SIZE:STEPS:BATCH:RATE. The networks are trained small first (attention is far cheaper there) and finished
at the published size; the learning rate is constant within a stage and falls linearly to zero in the last one.
"""

import argparse
import json
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from concord.tokenizer import Tokenizer
from demo import sizes
from demo.identity import start_near_identity
from demo.photographs import HELD_OUT_FROM, make_photo_composite
from demo.scenes import make_scene
from export.networks import harmony_transformer
from export.networks.cris import Cris, sine_plane
from export.networks.harmony_transformer import PATCH, HarmonyTransformerConfig, PatchHT, sine_grid
from export.serving import ServedCris, ServedHarmonizer

WEIGHTS = Path(__file__).parent / "weights"
PHOTOGRAPHS = 0.4  # share of photographs in the harmonizer's training
REFERRALS = 3  # expressions asked of each image in CRIS's training
AVERAGING = 0.998  # of the exponential moving average that is kept


Batch = tuple[np.ndarray, ...]


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


@cache
def tokenizer() -> Tokenizer:
    """One a process."""
    return Tokenizer.load()


class CrisTask:
    """Mask logits of the referred object: binary cross-entropy and soft dice."""

    def __init__(self) -> None:
        self.seen: set[int] = set()

    def build(self, size: int) -> nn.Module:
        network = Cris(replace(sizes.CRIS, image_size=size))
        full, side, width = sizes.CRIS.image_size // 16, size // 16, sizes.CRIS.neck[1]
        places = torch.linspace(0, full - 1, side).round().long()
        grid = sine_plane(full, width).unflatten(1, (full, full))
        network.decoder.vision_position = grid[:, places][:, :, places].flatten(1, 2)
        return ServedCris(network)

    def batch(self, size: int, count: int, seed: tuple[int, ...]) -> Batch:
        """Images, and `REFERRALS` expressions with their masks for each of them, drawn again where there are fewer."""
        rng = np.random.default_rng(seed)
        images, tokens, masks = [], [], []
        for _ in range(count):
            scene = make_scene(int(rng.integers(HELD_OUT_FROM)), (size, size))
            images.append(scene.composite)
            order = rng.permutation(len(scene.referrals))
            for n in range(REFERRALS):
                referral = scene.referrals[order[n % len(order)]]
                expression = str(rng.choice((referral.expression, *referral.alternatives)))
                tokens.append(tokenizer().encode(expression.encode())[0])
                masks.append(referral.mask)
        return np.stack(images), np.stack(tokens), np.stack(masks)

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        images, tokens, masks = (torch.from_numpy(array) for array in batch)
        self.seen.update(tokens.flatten().tolist())
        maps = network.network.backbone.visual(network.normalize(images))
        logits = network.network.refer(tuple(x.repeat_interleave(REFERRALS, 0) for x in maps), tokens)
        truth = F.avg_pool2d(masks[:, None].float() / 255, 4)
        probability = logits.sigmoid()
        overlap = (probability * truth).sum((1, 2, 3))
        dice = 1 - (2 * overlap + 1) / (probability.sum((1, 2, 3)) + truth.sum((1, 2, 3)) + 1)
        return F.binary_cross_entropy_with_logits(logits, truth) + 0.5 * dice.mean()

    def finish(self, weights: dict[str, Tensor]) -> None:
        """A word never met in training says nothing: its embedding is zero."""
        embedding = weights["backbone.token_embedding.weight"]
        known = torch.zeros(len(embedding), 1)
        known[sorted(self.seen)] = 1
        embedding.mul_(known)


class HarmonizerTask:
    """The truth inside the mask, as mean squared error over the foreground.

    It is taken behind the guided transfer that serves the network, so that a small network need not learn to repeat
    texture; the plain error of the whole image has a small part.
    """

    def __init__(self, config: HarmonyTransformerConfig) -> None:
        self.config = config

    def build(self, size: int) -> nn.Module:
        network = harmony_transformer.build(replace(self.config, image_size=size))
        if isinstance(network, PatchHT):
            start_near_identity(network)
            network.position = self.sparse_positions(size)
        return ServedHarmonizer(network)

    def sparse_positions(self, size: int) -> Tensor:
        """The positions of the full grid that a smaller one covers, so that what is learned of places stays true."""
        full, side = self.config.image_size // PATCH, size // PATCH
        step = full // side
        grid = sine_grid(full, self.config.width).unflatten(1, (full, full))
        return grid[:, step // 2 :: step, step // 2 :: step].flatten(1, 2)

    def batch(self, size: int, count: int, seed: tuple[int, ...]) -> Batch:
        rng = np.random.default_rng(seed)
        makers = [make_photo_composite if rng.random() < PHOTOGRAPHS else make_scene for _ in range(count)]
        samples = [make(int(rng.integers(HELD_OUT_FROM)), (size, size)) for make in makers]
        return tuple(np.stack([getattr(s, name) for s in samples]) for name in ("composite", "mask", "truth"))

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        composites, masks, truths = (torch.from_numpy(array) for array in batch)
        masks = masks // 255
        truth = truths.permute(0, 3, 1, 2) / 255
        foreground = masks.float()[:, None]
        result = network(composites, masks)
        served = transferred(composites.permute(0, 3, 1, 2) / 255, foreground, result)
        area = 3 * foreground.sum((1, 2, 3)).clamp(min=foreground[0].numel() / 100)
        error = ((served - truth).square() * foreground).sum((1, 2, 3)) / area
        return 10 * error.mean() + (result - truth).square().mean()

    def finish(self, weights: dict[str, Tensor]) -> None:
        pass


def transferred(composite: Tensor, mask: Tensor, result: Tensor, radius: int = 3, epsilon: float = 1e-3) -> Tensor:
    """The local linear fit of `concord.transfer`, without its residual, so that gradients pass: [B,3,S,S] in 0..1."""

    def mean(values: Tensor) -> Tensor:
        window = 2 * radius + 1
        total, weight = (F.avg_pool2d(x, window, 1, radius) for x in (values * mask, mask))
        return total / weight.clamp(min=1e-4)

    mean_x, mean_y = mean(composite), mean(result)
    covariance = mean(composite * result) - mean_x * mean_y
    variance = mean(composite.square()) - mean_x.square()
    slope = (covariance + epsilon) / (variance + epsilon)
    return mean(slope) * composite + mean(mean_y - slope * mean_x)


TASKS: dict[str, tuple[Callable[[], CrisTask | HarmonizerTask], object]] = {
    "cris": (CrisTask, sizes.CRIS),
    "ht": (lambda: HarmonizerTask(sizes.HT), sizes.HT),
    "dht": (lambda: HarmonizerTask(sizes.DHT), sizes.DHT),
}


def train(name: str, stages: list[Stage], seed: int, start: Path | None, output: Path) -> None:
    """Train, and write the averaged weights in half precision to `output` after every 500 steps and at the end."""
    torch.manual_seed(seed)
    make_task, config = TASKS[name]
    task = make_task()
    pool = ProcessPoolExecutor(1)  # makes the next batch while this one is learned from
    weights = {key: value.float() for key, value in load_file(start).items()} if start else None
    for number, stage in enumerate(stages):
        network = task.build(stage.size)
        core = network.network
        if weights:
            core.load_state_dict(weights)
        average = {key: value.detach().clone() for key, value in core.state_dict().items()}
        optimizer = torch.optim.AdamW(network.parameters(), lr=stage.rate, weight_decay=1e-4, betas=(0.9, 0.98))
        last = number == len(stages) - 1
        losses: list[float] = []
        upcoming = pool.submit(task.batch, stage.size, stage.batch, (seed, number, 0))
        began = time.monotonic()
        for step in range(1, stage.steps + 1):
            warm = min(1.0, step / 100)
            optimizer.param_groups[0]["lr"] = stage.rate * warm * ((1 - step / stage.steps) if last else 1)
            batch = upcoming.result()
            upcoming = pool.submit(task.batch, stage.size, stage.batch, (seed, number, step))
            loss = task.loss(network, batch)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            keep = min(AVERAGING, step / (step + 10))
            for key, value in core.state_dict().items():
                if value.dtype.is_floating_point:
                    average[key].lerp_(value, 1 - keep)
                else:
                    average[key].copy_(value)
            losses.append(loss.item())
            if step % 100 == 0:
                pace = (time.monotonic() - began) / step
                print(
                    f"{name} {stage.size} step {step}/{stage.steps} loss {np.mean(losses[-100:]):.4f} {pace:.2f} s",
                    flush=True,
                )
            if step % 500 == 0 or step == stage.steps:
                final = {key: value.clone() for key, value in average.items()}
                task.finish(final)
                save(final, config, output)
        weights = average


def save(weights: dict[str, Tensor], config: object, output: Path) -> None:
    """Safetensors with the network's sizes as metadata; matrices in half precision, running variances not."""
    output.parent.mkdir(parents=True, exist_ok=True)
    half = {key: value.half() if value.ndim > 1 else value for key, value in weights.items()}
    temporary = output.with_suffix(".partial")
    metadata = {"config": json.dumps(asdict(config))}  # type: ignore[call-overload]
    save_file({key: value.contiguous() for key, value in half.items()}, temporary, metadata)
    temporary.replace(output)


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
    output = arguments.output or WEIGHTS / f"{arguments.network}.safetensors"
    train(arguments.network, arguments.stage, arguments.seed, arguments.start, output)


if __name__ == "__main__":
    main()
