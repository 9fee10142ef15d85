"""Blended Diffusion's step: what a noisy picture shows, and the gradient that leads it to what a text says.

Avrahami et al., "Blended Diffusion for Text-driven Editing of Natural Images" (CVPR 2022). State-dict compatible with
guided diffusion's UNet, under `unet.`, and the tower for pictures of OpenAI's CLIP, under `clip.visual.`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import NamedTuple, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from concord.letterbox import CLIP_MEAN, CLIP_STD
from concord.loops.blended_diffusion import CHANNELS, SIDE, WHOLE_WAY
from concord.noise import SeededNoise
from concord.samplers.ddpm import Respaced
from concord.view_warps import DRAWS, WARPED, warps
from export.gradient_graph import WithGradient, gradient_of
from export.network import SESSION, Network, ServedTensor, Serving
from export.networks import guided_unet, openai_clip
from export.networks.clip import VisionConfig, VisionTransformer
from export.networks.compvis_unet import ResidualBlock
from export.networks.guided_unet import GuidedUnet, GuidedUnetConfig
from export.networks.latent_diffusion import PATIENCE, SHRINKING
from export.networks.ldm_unet import AttentionBlock
from export.networks.openai_clip import EMBEDDING, VIT_B_16
from export.networks.view_sampling import pooling, warped
from export.state_dict import StateDict

UNET, CLIP = "unet.", "clip.visual."
PUBLISHED_WEIGHTS = (1000.0, 50.0)
"""Of likeness and range."""
_RESPACED = Respaced.of(WHOLE_WAY)


@dataclass(frozen=True)
class BlendedConfig:
    """Sizes of both networks, and the side of the pictures."""

    unet: GuidedUnetConfig = field(default_factory=GuidedUnetConfig)
    clip: VisionConfig = VIT_B_16
    side: int = SIDE


SMALL = BlendedConfig(  # of the published answers
    GuidedUnetConfig(widths=(32, 32, 64, 64, 128, 128), head_width=16),
    VisionConfig(embedding=48, view_size=56, patch=8, vision_width=128, vision_heads=2, vision_layers=3),
    side=64,
)


class Told(NamedTuple):
    """What the networks say of noisy pictures: all [B,3,S,S], but the embeddings [B,views,E] and the losses [B]."""

    clean: Tensor
    variance: Tensor
    shown: Tensor
    embeddings: Tensor
    likeness_loss: Tensor
    range_loss: Tensor


class BlendedGuidanceNet(WithGradient):
    """Both networks under the published keys."""

    def __init__(self, config: BlendedConfig) -> None:
        super().__init__()
        self.unet = GuidedUnet(config.unet)
        self.clip = nn.ModuleDict({"visual": VisionTransformer(config.clip)})
        self.register_buffer("pool", pooling(config.side, config.clip.view_size), persistent=False)
        self.register_buffer("mean", torch.tensor(CLIP_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(CLIP_STD)[:, None, None], persistent=False)
        rows = np.stack([getattr(_RESPACED, row.name) for row in fields(_RESPACED)], 1).astype(np.float32)
        self.register_buffer("schedule", torch.from_numpy(rows), persistent=False)

    def guided(
        self,
        x: Tensor,
        timestep: Tensor,
        kept: Tensor,
        mask: Tensor,
        text: Tensor,
        weights: Tensor,
        warps: Tensor | None = None,
    ) -> tuple[Tensor, Told]:
        """The gradient of the loss with respect to noisy pictures [B,3,S,S], and what it is made of.

        Args:
            x: the pictures.
            timestep: of training, [B].
            kept: the share of the signal's power that is left, [B].
            mask: [B,1,S,S] of 0 and 1, 1 in the part.
            text: an embedding of any length, [B,E].
            weights: of the two losses, [B,2].
            warps: [B,V,2,3,3], those of `concord.view_warps`, of as many views besides the plain one.
        """

        def loss(noisy: Tensor) -> tuple[Tensor, Told]:
            told = self._told(noisy, timestep, kept, mask, text, weights, warps)
            return (told.likeness_loss + told.range_loss).sum(), told

        found, told = gradient_of(loss, x)
        return found, Told(*(each.detach() for each in told))

    def forward(self, x: Tensor, t: Tensor, mask: Tensor, text_embed: Tensor) -> tuple[Tensor, ...]:
        """What the authors compute of a step `t` int64 [B] of theirs, with the plain view alone.

        Returns:
            The clean picture, what CLIP is shown, the two losses and their sum, their gradient, the mean, the logarithm
            of the variance, the guided mean, and the embedding.
        """
        rows = cast(Tensor, self.schedule)[t]
        timestep, kept = rows[:, :2].unbind(1)
        log_least, log_most, clean_share, noisy_share = rows[:, 2:, None, None, None].unbind(1)
        weights = torch.tensor(PUBLISHED_WEIGHTS).expand(x.shape[0], -1)
        gradient, told = self.guided(x, timestep, kept, mask, text_embed, weights)
        share = (told.variance + 1) / 2
        log_variance = share * log_most + (1 - share) * log_least
        mean = clean_share * told.clean + noisy_share * x
        moved = mean - log_variance.exp() * gradient
        losses = told.likeness_loss, told.range_loss, told.likeness_loss + told.range_loss
        return told.clean, told.shown, *losses, gradient, mean, log_variance, moved, told.embeddings[:, 0]

    def _told(
        self,
        x: Tensor,
        timestep: Tensor,
        kept: Tensor,
        mask: Tensor,
        text: Tensor,
        weights: Tensor,
        warps: Tensor | None,
    ) -> Told:
        kept = kept[:, None, None, None]
        noise, variance = self.unet(x, timestep).chunk(2, 1)
        clean = x * (1 / kept).sqrt() - noise * (1 / kept - 1).sqrt()
        blend = (1 - kept).sqrt()
        shown = clean * blend + x * (1 - blend)
        embeddings = self._embedded(self._views(shown * mask, warps))
        units = F.normalize(embeddings, dim=-1), F.normalize(text, dim=-1)[:, None]
        chord = torch.linalg.vector_norm(units[0] - units[1], dim=-1)
        likeness = weights[:, 0] * (2 * torch.asin(chord / 2) ** 2).mean(1)
        excess = weights[:, 1] * (clean - clean.clamp(-1, 1)).square().mean((1, 2, 3))
        return Told(clean, variance, shown, embeddings, likeness, excess)

    def _views(self, picture: Tensor, warps: Tensor | None) -> Tensor:
        """[B,1+V,3,v,v], in 0..1, the plain one first."""
        pool = cast(Tensor, self.pool)
        plain = pool @ picture @ pool.T
        views = plain[:, None]
        if warps is not None:
            turned = warped(plain, warps[:, :, 0], border=True)
            tilted = warped(turned.flatten(0, 1), warps[:, :, 1].flatten(0, 1)[:, None], border=False)
            views = torch.cat((views, tilted[:, 0].unflatten(0, (-1, warps.shape[1]))), 1)
        return (views + 1) / 2

    def _embedded(self, views: Tensor) -> Tensor:
        """[B,V,E] of [B,V,3,v,v]."""
        normalised = (views - cast(Tensor, self.mean)) / cast(Tensor, self.std)
        visual = cast(VisionTransformer, self.clip["visual"])
        return cast(Tensor, visual.embed(normalised.flatten(0, 1)).unflatten(0, (-1, views.shape[1])))


class ServedBlendedGuidance(WithGradient):
    """A noisy picture to the clean one that it shows, where its variance lies, and the gradient of the loss.

    Args of `forward`: `noisy` FP32 [B,3,256,256] in about -1..1, at the `timestep` of training FP32 [B,1], of which the
    share `kept` FP32 [B,1] of the signal's power is left; the `part` to edit uint8 [B,256,256] of 0/1; the `text` as
    CLIP embeds it FP32 [B,512]; `warps` FP32 [B,7,2,3,3] of the views, and `weights` FP32 [B,2] of likeness and range.

    Returns:
        All FP32 [B,3,256,256]; see `concord.samplers.ddpm.Ddpm.step`.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = cast(BlendedGuidanceNet, network)

    def blocks(self) -> list[nn.Module]:
        """Those of the UNet."""
        return [block for block in self.network.unet.modules() if isinstance(block, ResidualBlock | AttentionBlock)]

    def forward(
        self, noisy: Tensor, timestep: Tensor, kept: Tensor, part: Tensor, text: Tensor, warps: Tensor, weights: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        mask = part.to(torch.float32)[:, None]
        gradient, told = self.network.guided(noisy, timestep[:, 0], kept[:, 0], mask, text, weights, warps)
        return told.clean, told.variance, gradient


def sizes(weights: Mapping[str, Tensor]) -> BlendedConfig:
    """The sizes that the shapes of weights say."""
    parts = [
        {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
        for prefix in (UNET, CLIP)
    ]
    return BlendedConfig(guided_unet.sizes(parts[0]), openai_clip.vision_sizes(parts[1]))


def refused(config: BlendedConfig, _weights: Mapping[str, Tensor]) -> str:
    """Why networks of other sizes are not served; empty where they are."""
    found = config.unet.channels_in, config.unet.channels_out
    wanted = CHANNELS, 2 * CHANNELS
    return "" if found == wanted else f"the UNet reads and answers {found} channels; wanted are {wanted}"


def draw(batch: int, generator: Generator) -> tuple[Tensor, ...]:
    """Noisy pictures at several timesteps, discs to edit, texts, and the views of several seeds."""
    noisy = torch.randn(batch, CHANNELS, SIDE, SIDE, generator=generator)
    steps = torch.arange(batch) * 30 % WHOLE_WAY
    timestep, kept = (
        torch.from_numpy(row.astype(np.float32))[steps, None] for row in (_RESPACED.timesteps, _RESPACED.kept)
    )
    line = torch.arange(SIDE) - SIDE / 2
    disc = ((line[:, None] ** 2 + line**2).sqrt() < SIDE / 4).to(torch.uint8).expand(batch, -1, -1).contiguous()
    text = torch.randn(batch, EMBEDDING, generator=generator)
    turns = np.stack([warps(SeededNoise(seed).uniform(0, DRAWS)) for seed in range(batch)])
    weights = torch.tensor(PUBLISHED_WEIGHTS).repeat(batch, 1)
    return noisy, timestep, kept, disc, text, torch.from_numpy(turns), weights


NETWORK = Network(
    name="blended_guidance",
    inputs=(
        ServedTensor("NOISY", "FP32", (CHANNELS, SIDE, SIDE)),
        ServedTensor("TIMESTEP", "FP32", (1,)),
        ServedTensor("KEPT", "FP32", (1,)),
        ServedTensor("PART", "UINT8", (SIDE, SIDE)),
        ServedTensor("TEXT_EMBEDDING", "FP32", (EMBEDDING,)),
        ServedTensor("WARPS", "FP32", (WARPED, 2, 3, 3)),
        ServedTensor("WEIGHTS", "FP32", (2,)),
    ),
    outputs=tuple(ServedTensor(name, "FP32", (CHANNELS, SIDE, SIDE)) for name in ("CLEAN", "VARIANCE", "GRADIENT")),
    draw=draw,
    published={
        "guided_diffusion_256_uncond": lambda: GuidedUnet(GuidedUnetConfig()),
        "guided_diffusion_small": lambda: GuidedUnet(SMALL.unet),
        "blended_gradient_small": lambda: BlendedGuidanceNet(SMALL),
    },
    golden=("guided_diffusion_small", "blended_gradient_small"),
    # The activations of the forward pass are held until the backward pass has read them: gigabytes a picture.
    checked=(1,),
    tolerance=3e-4,
    serving=Serving(batch=1, gpu_batch=4, patience_seconds=PATIENCE, session=SESSION | SHRINKING, profiles=("cuda",)),
)
SOURCE = StateDict(
    claims=lambda keys: guided_unet.claims({key.removeprefix(UNET) for key in keys}) and f"{CLIP}proj" in keys,
    published=sizes,
    build=BlendedGuidanceNet,
    served=ServedBlendedGuidance,
    refused=refused,
)
