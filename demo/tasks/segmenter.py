"""Training CRIS on scenes: it finds the object of an expression."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from concord.scenes.photographs import HELD_OUT_FROM
from concord.scenes.scene import make_scene
from concord.tokenizer import Tokenizer
from demo import sizes
from demo.tasks import WEIGHTS, Batch, Task
from export.networks.cris import Cris, ServedCris, sine_plane

REFERRALS = 3  # expressions per image


tokenizer = cache(Tokenizer.load)  # one per process


class Segmenter(Task):
    """Mask logits of the object: binary cross-entropy and soft dice."""

    output = WEIGHTS / "cris.safetensors"
    config = sizes.CRIS

    def __init__(self) -> None:
        self.seen: set[int] = set()

    def build(self, size: int) -> nn.Module:
        network = Cris(replace(sizes.CRIS, image_size=size))
        full, side, width = sizes.CRIS.image_size // 16, size // 16, sizes.CRIS.neck[1]
        places = torch.linspace(0, full - 1, side).round().long()
        grid = sine_plane(full, width).unflatten(1, (full, full))
        network.decoder.vision_position = grid[:, places][:, :, places].flatten(1, 2)
        return ServedCris(network)

    @staticmethod
    def batch(size: int, count: int, seed: tuple[int, ...]) -> Batch:
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

    def loss(self, module: nn.Module, batch: Batch) -> Tensor:
        assert isinstance(module, ServedCris)
        network: Any = module.network
        images, tokens, masks = (torch.from_numpy(array) for array in batch)
        self.seen.update(tokens.flatten().tolist())
        maps = network.backbone.visual(module.normalize(images))
        logits = network.refer(tuple(x.repeat_interleave(REFERRALS, 0) for x in maps), tokens)
        truth = F.avg_pool2d(masks[:, None].float() / 255, 4)
        probability = logits.sigmoid()
        overlap = (probability * truth).sum((1, 2, 3))
        dice = 1 - (2 * overlap + 1) / (probability.sum((1, 2, 3)) + truth.sum((1, 2, 3)) + 1)
        loss: Tensor = F.binary_cross_entropy_with_logits(logits, truth) + 0.5 * dice.mean()
        return loss

    def read(self, path: Path) -> dict[str, Tensor]:
        weights = super().read(path)
        words = weights["backbone.token_embedding.weight"]
        self.seen.update(words.any(1).nonzero().flatten().tolist())
        return weights

    def write(self, weights: dict[str, Tensor], path: Path) -> None:
        """A word never met in training says nothing: its embedding is zero, which also lets the file be packed."""
        known = torch.zeros(sizes.CRIS.vocabulary, 1)
        known[sorted(self.seen)] = 1
        words = "backbone.token_embedding.weight"
        super().write({**weights, words: weights[words] * known}, path)
