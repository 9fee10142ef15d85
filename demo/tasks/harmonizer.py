"""Training a Harmony Transformer on scenes and photographs: it predicts the foreground before its change."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from concord.scenes.photographs import HELD_OUT_FROM, make_photo_composite
from concord.scenes.scene import make_scene
from demo.identity import start_near_identity
from demo.tasks import WEIGHTS, Batch, write_safetensors
from export.networks import harmony_transformer
from export.networks.harmonizer import ServedHarmonizer
from export.networks.harmony_transformer import PATCH, HarmonyTransformerConfig, PatchHT, sine_grid

PHOTOGRAPHS = 0.4  # share of photographs


class Harmonizer:
    """Mean squared error from the truth over the foreground.

    It is computed after the guided transfer of the served pipeline, so that a small network need not learn to repeat
    texture; the error of the network's whole image has a small weight.
    """

    def __init__(self, config: HarmonyTransformerConfig) -> None:
        self.config = config
        self.output = WEIGHTS / f"{config.form.split('_')[0]}.safetensors"

    def build(self, size: int) -> nn.Module:
        network = harmony_transformer.build(replace(self.config, image_size=size))
        if isinstance(network, PatchHT):
            start_near_identity(network)
            network.position = self.sparse_positions(size)
        return ServedHarmonizer(network)

    def sparse_positions(self, size: int) -> Tensor:
        """The full grid's positions that a smaller grid covers, so that what is learned there stays valid."""
        full, side = self.config.image_size // PATCH, size // PATCH
        step = full // side
        grid = sine_grid(full, self.config.width).unflatten(1, (full, full))
        positions: Tensor = grid[:, step // 2 :: step, step // 2 :: step].flatten(1, 2)
        return positions

    @staticmethod
    def batch(size: int, count: int, seed: tuple[int, ...]) -> Batch:
        rng = np.random.default_rng(seed)
        makers = [make_photo_composite if rng.random() < PHOTOGRAPHS else make_scene for _ in range(count)]
        samples = [make(int(rng.integers(HELD_OUT_FROM)), (size, size)) for make in makers]
        return tuple(np.stack([getattr(s, name) for s in samples]) for name in ("composite", "mask", "truth"))

    def loss(self, module: nn.Module, batch: Batch) -> Tensor:
        composites, masks, truths = (torch.from_numpy(array) for array in batch)
        masks = masks // 255
        truth = truths.permute(0, 3, 1, 2) / 255
        foreground = masks.float()[:, None]
        result = module(composites, masks)
        served = transferred(composites.permute(0, 3, 1, 2) / 255, foreground, result)
        area = 3 * foreground.sum((1, 2, 3)).clamp(min=foreground[0].numel() / 100)
        error = ((served - truth).square() * foreground).sum((1, 2, 3)) / area
        loss: Tensor = 10 * error.mean() + (result - truth).square().mean()
        return loss

    def read(self, path: Path) -> dict[str, Tensor]:
        return {key: value.float() for key, value in load_file(path).items()}

    def write(self, weights: dict[str, Tensor], path: Path) -> None:
        write_safetensors(weights, self.config, path)


def transferred(composite: Tensor, mask: Tensor, result: Tensor, radius: int = 3, epsilon: float = 1e-3) -> Tensor:
    """The local linear fit of `concord.transfer`, without its residual, so that gradients pass: [B,3,S,S] in 0..1."""

    def mean(values: Tensor) -> Tensor:
        return box(values * mask, radius) / box(mask, radius).clamp(min=1e-4)

    mean_x, mean_y = mean(composite), mean(result)
    covariance = mean(composite * result) - mean_x * mean_y
    variance = mean(composite.square()) - mean_x.square()
    slope = (covariance + epsilon) / (variance + epsilon)
    return mean(slope) * composite + mean(mean_y - slope * mean_x)


def box(values: Tensor, radius: int) -> Tensor:
    """Mean over a square window, as two windows of one row and one column."""
    rows = F.avg_pool2d(values, (1, 2 * radius + 1), 1, (0, radius))
    return F.avg_pool2d(rows, (2 * radius + 1, 1), 1, (radius, 0))
