"""CLIP-HT: HT+ whose pixels read what CLIP sees of the foreground and of the whole picture.

State-dict compatible with the authors' `latest_net_G.pth`, which holds a CLIP ViT-B/32 of its own: both towers, of
which the one for texts has no effect. OpenAI's weights are no substitute for it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from concord.clip_view import VIEW_SIZE, clip_view, foreground_view
from concord.repository.ensembles import Harmonizer
from concord.scenes.scene import Scene
from concord.squash import squash_image, squash_mask
from export.half_precision import NORMS, SOFTMAX
from export.network import Feeds, Network, Quantization, ServedTensor, noise_image
from export.networks import harmonizer
from export.networks.clip import Clip, Normalize, VisionConfig, VisionTransformer
from export.networks.harmony_transformer import PATCH, Decoder, Patches, sine_grid, to_map
from export.state_dict import StateDict

TOWER = "clip_generator.clip_model.visual."
VIEWS = ("FOREGROUND_VIEW", "COMPOSITE_VIEW")


@dataclass(frozen=True)
class ClipHTConfig(VisionConfig):
    """Sizes of CLIP-HT; the defaults are the published ones."""

    image_size: int = 256
    width: int = 256
    heads: int = 2
    feedforward: int = 512
    layers: int = 9


class ClipHT(nn.Module):
    """`composite` [B,3,S,S] in 0..1, `mask` [B,1,S,S] of 0/1, and two views [B,3,V,V] with CLIP's mean and std applied.

    Answers the harmonized image [B,3,S,S] before pasting. It ends in tanh, so its values may be negative.
    """

    def __init__(self, config: ClipHTConfig) -> None:
        super().__init__()
        self.clip_generator = ClipTokens(config)
        self.patch_to_embedding = nn.Sequential(Patches(PATCH), nn.Linear(PATCH * PATCH * 4, config.width))
        self.transformer_enc = Decoder(config, config.layers)
        self.dec = nn.Sequential(nn.ConvTranspose2d(config.width, 3, PATCH, PATCH), nn.Tanh())
        self.register_buffer("position", sine_grid(config.image_size // PATCH, config.width), persistent=False)

    def forward(self, composite: Tensor, mask: Tensor, foreground_view: Tensor, composite_view: Tensor) -> Tensor:
        tokens = self.patch_to_embedding(torch.cat((composite, mask), 1))
        memory = self.clip_generator(foreground_view, composite_view)
        return cast(Tensor, self.dec(to_map(self.transformer_enc(tokens, memory, self.position))))


class ClipTokens(nn.Module):
    """Two views [B,3,V,V] to CLIP's tokens of both, one behind the other: [B, tokens, width]."""

    def __init__(self, config: ClipHTConfig) -> None:
        super().__init__()
        self.clip_model = Clip(config, VisionTransformer(config))
        self.clip_linear = nn.Sequential(nn.Linear(config.embedding, config.width), nn.ReLU())

    def forward(self, foreground_view: Tensor, composite_view: Tensor) -> Tensor:
        seen = (self.clip_model.visual(view) for view in (foreground_view, composite_view))
        return cast(Tensor, self.clip_linear(torch.cat(tuple(seen), 1)))


class ServedClipHT(nn.Module):
    """As `harmonizer.ServedHarmonizer`, with two views uint8 RGB [B,V,V,3]."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.normalize = Normalize()

    def forward(self, composite: Tensor, mask: Tensor, foreground_view: Tensor, composite_view: Tensor) -> Tensor:
        image = composite.to(torch.float32).permute(0, 3, 1, 2) / 255
        views = (self.normalize(view) for view in (foreground_view, composite_view))
        return cast(Tensor, self.network(image, mask.to(torch.float32)[:, None], *views))


def refused(config: ClipHTConfig, weights: Mapping[str, Tensor]) -> str:
    """Names a CLIP of another kind or size; empty where it is the one that is wanted."""
    wanted = described(config.vision_layers, config.vision_width, config.patch, config.view_size)
    conv, places = (weights.get(TOWER + key) for key in ("conv1.weight", "positional_embedding"))
    if conv is None or places is None or conv.ndim != 4:
        return f"its CLIP has no vision transformer; wanted is {wanted}"
    layers = sum(key.startswith(TOWER) and key.endswith(".ln_1.weight") for key in weights)
    width, patch = conv.shape[0], conv.shape[3]
    found = described(layers, width, patch, patch * isqrt(len(places) - 1))
    return "" if found == wanted else f"its CLIP is {found}; wanted is {wanted}"


def described(layers: int, width: int, patch: int, view: int) -> str:
    return f"a vision transformer of {layers} layers, {width} wide, with patches of {patch} pixels in {view} x {view}"


def draw(batch: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """Composites and masks of `harmonizer.draw`, and views of other pictures."""
    views = (noise_image(batch, VIEW_SIZE, generator) for _ in VIEWS)
    return *harmonizer.draw(batch, generator), *views


def seen(scenes: Iterator[Scene], _repository: Path) -> Iterator[Feeds]:
    """A scene's composite, its mask, and CLIP's views of both."""
    for scene in scenes:
        composite, mask = squash_image(scene.composite), squash_mask(scene.mask)
        views = dict(zip(VIEWS, (foreground_view(composite, mask), clip_view(composite)), strict=True))
        yield {"COMPOSITE": composite, "COMPOSITE_MASK": mask, **views}


NETWORK = Network(
    name="clip_ht",
    inputs=(*harmonizer.INPUTS, *(ServedTensor(name, "UINT8", (VIEW_SIZE, VIEW_SIZE, 3)) for name in VIEWS)),
    outputs=(harmonizer.OUTPUT,),
    draw=draw,
    source=StateDict(
        claims=lambda keys: "clip_generator.clip_linear.0.weight" in keys and "patch_to_embedding.1.weight" in keys,
        published=lambda _weights: ClipHTConfig(),
        build=ClipHT,
        served=ServedClipHT,
        refused=refused,
    ),
    published={"clip_ht": lambda: ClipHT(ClipHTConfig())},
    golden=("clip_ht",),
    islands=(NORMS, SOFTMAX),
    quantization=Quantization(
        "the last layer draws the picture: its error is a tint of all", ("ConvolutionBackpropData",)
    ),
    seen=seen,
    unless_empty="COMPOSITE_MASK",
    harmonizer=Harmonizer(
        "a transformer that answers in one pass and knows what it sees", rank=60, views=("clip_views",)
    ),
)
