"""Training the harmonizer of the demo's CRISHT on the masks that its segmenter finds."""

from functools import cache
from typing import cast

import cv2
import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

from concord.arrays import Pixels
from concord.letterbox import letterbox, mask_from_logits
from concord.scenes.photographs import HELD_OUT_FROM
from concord.scenes.scene import make_scene
from concord.squash import SMALL_SIZE, squash_mask
from demo import sizes
from demo.tasks import WEIGHTS, Batch
from demo.tasks.harmonizer import Harmonizer
from demo.tasks.segmenter import Segmenter, tokenizer
from export.networks.cris import Cris, ServedCris
from export.networks.crisht import NETWORK


class EndToEnd(Harmonizer):
    """The harmonizer's loss, with the masks that are found for the scenes' texts.

    A mask that is a little wrong tells a harmonizer, which was trained on exact ones, that some of the background looks
    like the foreground. It begins as the demo's HT+; the segmenter stays as it is.
    """

    def __init__(self) -> None:
        super().__init__(sizes.HT)
        self.begin = self.output
        self.output = WEIGHTS / f"{NETWORK.name}.safetensors"

    def build(self, size: int) -> nn.Module:
        module = super().build(size)
        cast(nn.Module, module.network).load_state_dict(self.read(self.begin))
        return module

    @staticmethod
    def batch(size: int, count: int, seed: tuple[int, ...]) -> Batch:
        """Composites, found masks, truths, and true masks; of 256 pixels, made smaller."""
        torch.set_num_threads(1)
        rng = np.random.default_rng(seed)
        scenes = [make_scene(int(rng.integers(HELD_OUT_FROM)), (SMALL_SIZE, SMALL_SIZE)) for _ in range(count)]
        texts = [str(rng.choice((scene.expression, *scene.alternatives))) for scene in scenes]
        found = [found_mask(scene.composite, text) for scene, text in zip(scenes, texts, strict=True)]
        pictures = (
            np.stack([cv2.resize(getattr(scene, part), (size, size), interpolation=cv2.INTER_AREA) for scene in scenes])
            for part in ("composite", "truth")
        )
        masks = (
            np.stack([squash_mask(mask, size) for mask in each]) for each in (found, [scene.mask for scene in scenes])
        )
        (composites, truths), (small, true) = pictures, masks
        return composites, small, truths, true


@cache
def segmenter() -> ServedCris:
    """The demo's, once a process."""
    network = Cris(sizes.CRIS)
    network.load_state_dict({key: value.float() for key, value in load_file(Segmenter.output).items()})
    return ServedCris(network).eval()


@torch.no_grad()
def found_mask(composite: Pixels, text: str) -> Pixels:
    """The mask that the segmenter finds, uint8 [H, W] of 0 and 255."""
    tokens, _ = tokenizer().encode(text.encode())
    logits = segmenter()(torch.from_numpy(letterbox(composite))[None], torch.from_numpy(tokens)[None])
    return mask_from_logits(logits[0].numpy(), *composite.shape[:2])[0]
