"""Initial weights with which HT+ nearly answers its input, so that training only has to learn the change."""

from typing import Any

import torch
from torch import nn

from export.networks.harmony_transformer import PATCH, PatchHT

SCALE = 2.0  # of the pixels in a token
CONSTANT = 2.0  # of the channels without a pixel: they dominate a token's norm, so that LayerNorm is nearly linear
PIXELS = PATCH * PATCH


def start_near_identity(network: PatchHT) -> None:
    """Sets the weights in place: tokens carry their patch through layers that add nothing; the decoder reads it back.

    The decoder is the least-squares solution over random patches before its tanh.
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
