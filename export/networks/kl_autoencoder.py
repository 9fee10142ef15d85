"""The autoencoder of latent diffusion with a posterior (KL-f8), under CompVis's keys of `first_stage_model.*`.

Rombach et al. (2022); Stable Diffusion's is the same network.
"""

from dataclasses import dataclass
from typing import cast

from torch import Tensor, nn

from export.networks.latent_diffusion import LATENT_CHANNELS
from export.networks.vq_autoencoder import Decoder, Encoder, VqConfig

_LOG_VARIANCES = -30.0, 20.0  # of which the posterior's are
SCALE = 0.18215
"""Of a latent to the posterior's mean."""


@dataclass(frozen=True)
class KlConfig:
    """Sizes; the defaults are those of KL-f8. Each level but the last halves the size."""

    width: int = 128
    multiples: tuple[int, ...] = (1, 2, 4, 4)
    layers: int = 2
    groups: int = VqConfig.groups

    def half(self, channels: int) -> VqConfig:
        """Of the encoder or decoder of latents with so many channels."""
        return VqConfig(self.width, self.multiples, self.layers, channels, attends=True, groups=self.groups)


class KlAutoencoder(nn.Module):
    """Pictures [B,3,H,W] in -1..1 to posteriors of latents [B,4,H/8,W/8] and back."""

    def __init__(self, config: KlConfig) -> None:
        super().__init__()
        moments = 2 * LATENT_CHANNELS
        self.encoder, self.decoder = Encoder(config.half(moments)), Decoder(config.half(LATENT_CHANNELS))
        self.quant_conv = nn.Conv2d(moments, moments, 1)
        self.post_quant_conv = nn.Conv2d(LATENT_CHANNELS, LATENT_CHANNELS, 1)

    def forward(self, image: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The posterior's mean and the logarithm of its variance, not scaled, and the picture of `z`, not clamped."""
        mean, log_variance = self.quant_conv(self.encoder(image)).chunk(2, 1)
        return mean, log_variance.clamp(*_LOG_VARIANCES), cast(Tensor, self.decoder(self.post_quant_conv(z)))
