"""Training a small CLIP-HT: it begins as the demo's HT+, which learns to read what a vision transformer sees."""

from dataclasses import replace

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from concord.clip_view import clip_view, foreground_view
from demo import sizes
from demo.tasks import WEIGHTS, Batch
from demo.tasks.harmonizer import Harmonizer
from export.networks.clip_ht import NETWORK, ClipHT, ServedClipHT


class ClipHarmonizer(Harmonizer):
    """The harmonizer's pictures and loss, with CLIP's views of them."""

    def __init__(self) -> None:
        super().__init__(sizes.HT)
        self.output = WEIGHTS / f"{NETWORK.name}.safetensors"
        self.config = sizes.CLIP_HT

    def build(self, size: int) -> nn.Module:
        network = ClipHT(replace(self.config, image_size=size))
        begin(network, {key: value.float() for key, value in load_file(Harmonizer(sizes.HT).output).items()})
        network.position = self.sparse_positions(size)
        return ServedClipHT(network)

    @staticmethod
    def batch(size: int, count: int, seed: tuple[int, ...]) -> Batch:
        composites, masks, truths, true = Harmonizer.batch(size, count, seed)
        parts = np.stack([foreground_view(*each) for each in zip(composites, masks, strict=True)])
        return composites, masks, truths, true, parts, np.stack([clip_view(each) for each in composites])


@torch.no_grad()
def begin(network: ClipHT, trained: dict[str, Tensor]) -> None:
    """Makes a new network answer nearly what an HT+ of its sizes answers.

    The decoder's layers have a norm more, before which what they read of CLIP is added, nearly nothing at first.
    """
    own = network.state_dict()
    for key, value in trained.items():
        if not key.startswith("transformer_enc."):
            own[key] = value
    last = network.transformer_enc.decoder["layers"]
    assert isinstance(last, nn.ModuleList)
    layers = len(last)
    for layer in range(layers):
        theirs, ours = f"transformer_enc.encoder.layers.{layer}", f"transformer_enc.decoder.layers.{layer}"
        for part in ("self_attn", "linear1", "linear2"):
            for key, value in trained.items():
                if key.startswith(f"{theirs}.{part}."):
                    own[key.replace(theirs, ours)] = value
        own[f"{ours}.multihead_attn.out_proj.weight"] *= 0.02
        after = "transformer_enc.decoder.norm" if layer == layers - 1 else f"{ours}.norm3"
        for kind, neutral in (("weight", 1.0), ("bias", 0.0)):
            # A norm of what a norm gives is that, and its own scale and shift come last.
            own[f"{ours}.norm1.{kind}"] = torch.full_like(own[f"{ours}.norm1.{kind}"], neutral)
            own[f"{ours}.norm2.{kind}"] = trained[f"{theirs}.norm1.{kind}"]
            own[f"{ours}.norm3.{kind}"] = torch.full_like(own[f"{ours}.norm3.{kind}"], neutral)
            own[f"{after}.{kind}"] = trained[f"{theirs}.norm2.{kind}"]
    network.load_state_dict(own)
