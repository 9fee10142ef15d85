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


class ServedVaeEncoder(nn.Module):
    """`composite` uint8 RGB [B,S,S,3] to the mode of its posterior FP32 [B,4,S/8,S/8], times the scaling factor."""

    def __init__(self, encoder: nn.Module, quant_conv: nn.Module | None, scaling_factor: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.quant_conv = quant_conv or nn.Identity()
        self.scaling_factor = scaling_factor

    def forward(self, composite: Tensor) -> Tensor:
        moments = self.quant_conv(self.encoder(signed(composite)))
        return cast(Tensor, moments.chunk(2, dim=1)[0] * self.scaling_factor)


class ServedVaeDecoder(nn.Module):
    """Scaled latents FP32 [B,4,h,w] to images FP32 [B,3,8h,8w], nominally 0..1 and not clamped."""

    def __init__(self, decoder: nn.Module, post_quant_conv: nn.Module | None, scaling_factor: float) -> None:
        super().__init__()
        self.decoder = decoder
        self.post_quant_conv = post_quant_conv or nn.Identity()
        self.scaling_factor = scaling_factor

    def forward(self, latent: Tensor) -> Tensor:
        return cast(Tensor, self.decoder(self.post_quant_conv(latent / self.scaling_factor)) / 2 + 0.5)


class ServedUnet(nn.Module):
    """The noise FP32 [B,4,h,w] in `latent` at a fractional `timestep` FP32 [B,1].

    `mask` FP32 [B,1,h,w] of 0/1 and `composite_latent` FP32 [B,4,h,w] follow the noisy latent in the input channels, in
    this order (DiffHarmony; the composite is not masked out). `states` FP32 [B,n,d] are the text encoder's.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, latent: Tensor, timestep: Tensor, mask: Tensor, composite_latent: Tensor, states: Tensor
    ) -> Tensor:
        sample = torch.cat((latent, mask, composite_latent), 1)
        return cast(Tensor, self.network(sample, timestep[:, 0], states, return_dict=False)[0])


class ServedNullUnet(ServedUnet):
    """`ServedUnet` with the states [n,d] of the empty prompt inside."""

    def __init__(self, network: nn.Module, states: Tensor) -> None:
        super().__init__(network)
        self.register_buffer("states", states, persistent=False)

    def forward(self, latent: Tensor, timestep: Tensor, mask: Tensor, composite_latent: Tensor) -> Tensor:  # type: ignore[override]
        states = cast(Tensor, self.states).expand(latent.shape[0], -1, -1)
        return super().forward(latent, timestep, mask, composite_latent, states)


class ServedLatentPreview(nn.Module):
    """Scaled latents FP32 [B,4,h,w] to small images uint8 RGB [B,h,w,3] by a linear map.

    Args:
        weight: [4, 3]; bias: [3]; to 0..1.
    """

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight, persistent=False)
        self.register_buffer("bias", bias, persistent=False)

    def forward(self, latent: Tensor) -> Tensor:
        colours = latent.permute(0, 2, 3, 1) @ cast(Tensor, self.weight) + cast(Tensor, self.bias)
        return (colours.clamp(0, 1) * 255).round().to(torch.uint8)


class ServedHarmonyVae(nn.Module):
    """Harmony-VAE: scaled latents and the composite they belong to, to images FP32 [B,3,8h,8w], nominally 0..1.

    `composite` uint8 RGB [B,8h,8w,3]; `mask` uint8 [B,8h,8w] of 0/1.
    """

    def __init__(self, network: nn.Module, scaling_factor: float) -> None:
        super().__init__()
        self.network = network
        self.scaling_factor = scaling_factor

    def forward(self, latent: Tensor, composite: Tensor, mask: Tensor) -> Tensor:
        condition = torch.cat((signed(composite), mask.to(torch.float32)[:, None]), 1)
        return cast(Tensor, self.network.decode(latent / self.scaling_factor, condition) / 2 + 0.5)


class ServedRefinement(nn.Module):
    """Stage 2 on a `result` FP32 [B,3,S,S] in 0..1 of `composite` uint8 RGB [B,S,S,3], `mask` uint8 [B,S,S] of 0/1.

    The network's own channels decide what it sees: 3 the result, 4 and the mask, 7 and the composite. Answers 0..1
    nominally, not clamped.
    """

    def __init__(self, network: nn.Module, channels: int) -> None:
        super().__init__()
        self.network = network
        self.channels = channels

    def forward(self, result: Tensor, composite: Tensor, mask: Tensor) -> Tensor:
        sample = torch.cat((result * 2 - 1, mask.to(torch.float32)[:, None], signed(composite)), 1)
        return cast(Tensor, self.network(sample[:, : self.channels]) / 2 + 0.5)


def signed(image: Tensor) -> Tensor:
    """uint8 [B,H,W,3] to FP32 [B,3,H,W] in -1..1."""
    return image.to(torch.float32).permute(0, 3, 1, 2) / 127.5 - 1
