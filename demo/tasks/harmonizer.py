"""Training a Harmony Transformer on scenes and photographs: it predicts the foreground before its change."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from concord.scenes.photographs import HELD_OUT_FROM, make_photo_composite
from concord.scenes.scene import make_scene
from demo.tasks import WEIGHTS, Batch, Task, stacked
from export.networks import harmony_transformer
from export.networks.harmonizer import ServedHarmonizer
from export.networks.harmony_transformer import PATCH, HarmonyTransformerConfig, PatchHT, sine_grid

PHOTOGRAPHS = 0.4  # share of photographs
SCALE = 2.0  # at the start, of the pixels in a token
CONSTANT = 2.0  # of the channels without a pixel: they dominate a token's norm, so that LayerNorm is nearly linear
PIXELS = PATCH * PATCH


class Harmonizer(Task):
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
        return stacked([make(int(rng.integers(HELD_OUT_FROM)), (size, size)) for make in makers])

    def loss(self, module: nn.Module, batch: Batch) -> Tensor:
        composites, masks, truths, *views = (torch.from_numpy(array) for array in batch)
        masks = masks // 255
        truth = truths.permute(0, 3, 1, 2) / 255
        foreground = masks.float()[:, None]
        result = module(composites, masks, *views)
        served = transferred(composites.permute(0, 3, 1, 2) / 255, foreground, result)
        return squared(served, result, truth, foreground)


def squared(served: Tensor, result: Tensor, truth: Tensor, counts: Tensor) -> Tensor:
    """Squared error of what is served, over the pixels that count [B,1,S,S], and a little of the network's whole."""
    area = 3 * counts.sum((1, 2, 3)).clamp(min=counts[0].numel() / 100)
    error = ((served - truth).square() * counts).sum((1, 2, 3)) / area
    loss: Tensor = 10 * error.mean() + (result - truth).square().mean()
    return loss


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


def start_near_identity(network: PatchHT) -> None:
    """Lets a new HT+ nearly answer its input, so that training only has to learn the change.

    Tokens carry their patch through layers that add nothing. The decoder reads it back: it is the least-squares
    solution over random patches before its tanh.
    """
    embedding, decoder = network.patch_to_embedding[1], network.dec[0]
    assert isinstance(embedding, nn.Linear) and isinstance(decoder, nn.ConvTranspose2d)
    width = embedding.out_features
    patch = PIXELS * 4
    if width <= patch:
        raise ValueError(f"the width must be above {patch}")
    with torch.no_grad():
        embedding.weight.zero_()
        embedding.weight[:patch, :patch] = SCALE * torch.eye(patch)
        embedding.bias[:patch] = -SCALE / 2
        embedding.bias[patch:] = CONSTANT * (-1.0) ** torch.arange(width - patch)
        layers: Any = network.transformer_enc.encoder.layers
        for layer in layers:
            layer.self_attn.out_proj.weight.mul_(0.02)
            layer.linear2.weight.mul_(0.02)
            layer.linear2.bias.zero_()
        tones = torch.rand(8192, 1, 4) + 0.25 * torch.randn(8192, PIXELS, 4)
        tones[:, :, 3] = (tones[:, :1, 3] > 0.5).float()
        tokens = nn.functional.layer_norm(embedding(tones.clamp(0, 1).flatten(1)), (width,))
        goal = tones[..., :3].clamp(0.02, 0.97).atanh().flatten(1)
        known = torch.cat((tokens, torch.ones(len(tokens), 1)), 1)
        ridge = 1e-3 * len(tokens) * torch.eye(width + 1)
        solution = torch.linalg.solve(known.T @ known + ridge, known.T @ goal)
        decoder.weight.copy_(solution[:-1].unflatten(1, (PATCH, PATCH, 3)).permute(0, 3, 1, 2))
        assert decoder.bias is not None
        decoder.bias.copy_(solution[-1].unflatten(0, (PIXELS, 3)).mean(0))
