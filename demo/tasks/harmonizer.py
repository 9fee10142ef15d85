"""Training a Harmony Transformer on scenes and photographs: it predicts the foreground before its change."""

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from concord.arrays import Pixels
from concord.scenes.photographs import HELD_OUT_FROM, make_photo_composite
from concord.scenes.scene import make_scene
from demo.photographs import collection
from demo.tasks import WEIGHTS, Batch, Task, stacked
from export.networks import harmony_transformer
from export.networks.harmonizer import ServedHarmonizer
from export.networks.harmony_transformer import PATCH, HarmonyTransformerConfig, PatchHT, sine_grid

PHOTOGRAPHS = 0.75  # share of photographs
WIDE = (40.0, 12000.0)  # of their changes: real composites are as often nearly right as they are far off
IMPERFECT = 0.4  # share of masks that are not exact, as people draw them and networks find them
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
        """Composites, given masks, truths, and true masks."""
        rng = np.random.default_rng(seed)
        composites, masks, truths = drawn(rng, size, count, PHOTOGRAPHS)
        given = [imperfect(rng, mask) if rng.random() < IMPERFECT else mask for mask in masks]
        return composites, np.stack(given), truths, masks

    def loss(self, module: nn.Module, batch: Batch) -> Tensor:
        """Over what is foreground or was taken for it, after the transfer inside the given mask."""
        composites, given, truths, true, *views = (torch.from_numpy(array) for array in batch)
        composite, truth = (image.permute(0, 3, 1, 2) / 255 for image in (composites, truths))
        inside, foreground = ((mask > 0).float()[:, None] for mask in (given, true))
        result = module(composites, (given > 0).to(torch.uint8), *views)
        served = torch.where(inside > 0, transferred(composite, inside, result), composite)
        return squared(served, result, truth, torch.maximum(inside, foreground))


def drawn(rng: np.random.Generator, size: int, count: int, photographs: float) -> Batch:
    """Composites, masks and truths of photographs, so large a share of them, and of scenes."""
    return stacked(
        [
            make_photo_composite(number, (size, size), collection("train"), WIDE)
            if rng.random() < photographs
            else make_scene(number, (size, size))
            for number in rng.integers(HELD_OUT_FROM, size=count).tolist()
        ]
    )


def imperfect(rng: np.random.Generator, mask: Pixels) -> Pixels:
    """The mask as a brush or a network's coarse grid gives it: an edge that wanders, and some of it lost; 0 or 255."""
    size = mask.shape[0]
    coverage = cv2.GaussianBlur(mask, (0, 0), size * rng.uniform(0.005, 0.02)).astype(np.float32) / 255
    cells = int(rng.integers(4, 24))
    noise = rng.normal(0, 1, (cells, cells)).astype(np.float32)
    noise = cv2.resize(noise, mask.shape[::-1], interpolation=cv2.INTER_CUBIC)
    found = coverage + rng.uniform(0.05, 0.3) * noise > 0.5 + rng.normal(0, 0.12)
    given = found & (cv2.dilate(mask, np.ones((size // 16 + 1,) * 2, np.uint8)) > 0)
    kept = np.count_nonzero(given & (mask > 0)) / np.count_nonzero(mask)
    return np.where(given, 255, 0).astype(np.uint8) if kept > 0.5 else mask


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
