"""The networks as they are served: 8-bit images in, normalisation inside the graph, one tensor out."""

from typing import cast

import torch
from torch import Tensor, nn

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


class ServedCris(nn.Module):
    """`image` uint8 RGB [B,S,S,3], letterboxed, and `tokens` int64 [B,length] to logits FP32 [B,1,S/4,S/4]."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(CLIP_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(CLIP_STD)[:, None, None], persistent=False)

    def normalize(self, image: Tensor) -> Tensor:
        """uint8 [B,S,S,3] to FP32 [B,3,S,S] with CLIP's mean and std applied."""
        return (image.to(torch.float32).permute(0, 3, 1, 2) / 255 - self.mean) / self.std

    def forward(self, image: Tensor, tokens: Tensor) -> Tensor:
        return cast(Tensor, self.network(self.normalize(image), tokens))


class ServedHarmonizer(nn.Module):
    """`composite` uint8 RGB [B,S,S,3] and `mask` uint8 [B,S,S] of 0/1 to the harmonized image FP32 [B,3,S,S].

    Values are the network's own before pasting: 0..1 for DHT, possibly below 0 for HT.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, composite: Tensor, mask: Tensor) -> Tensor:
        image = composite.to(torch.float32).permute(0, 3, 1, 2) / 255
        answer = self.network(image, mask.to(torch.float32)[:, None])
        return answer[0] if isinstance(answer, tuple) else cast(Tensor, answer)
