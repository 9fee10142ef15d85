"""The towers of OpenAI's CLIP as other networks use them: spatial features, and the features of every token.

Radford et al., "Learning Transferable Visual Models From Natural Language Supervision" (2021); the ResNet with the
changes of Wang et al., "CRIS: CLIP-Driven Referring Image Segmentation" (CVPR 2022).
"""

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from concord.letterbox import CLIP_MEAN, CLIP_STD
from export.networks.attention import HIDDEN, MultiHeadAttention, merge_heads, split_heads

EXPANSION = 4
PRETRAINED_GRID = 7  # attention pooling was trained on 224 / 32 positions a side


@dataclass(frozen=True)
class TextConfig:
    """Sizes of CLIP's text tower, and of what both towers are projected to."""

    length: int = 77
    embedding: int = 512
    vocabulary: int = 49408
    positions: int = 77
    text_width: int = 512
    text_heads: int = 8
    text_layers: int = 12


@dataclass(frozen=True)
class CrisConfig(TextConfig):
    """Sizes of CRIS; the defaults are the published R50. `neck` are its channels at 1/8, 1/16 and 1/32."""

    image_size: int = 416
    length: int = 17
    vision_layers: tuple[int, int, int, int] = (3, 4, 6, 3)
    vision_width: int = 64
    vision_heads: int = 32
    embedding: int = 1024
    neck: tuple[int, int, int] = (256, 512, 1024)
    heads: int = 8
    feedforward: int = 2048
    layers: int = 3


@dataclass(frozen=True)
class VisionConfig(TextConfig):
    """Sizes of a CLIP with a vision transformer; the defaults are those of ViT-B/32."""

    view_size: int = 224
    patch: int = 32
    vision_width: int = 768
    vision_heads: int = 12
    vision_layers: int = 12


class Normalize(nn.Module):
    """uint8 [B,S,S,3] RGB to FP32 [B,3,S,S] with CLIP's mean and standard deviation applied."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(CLIP_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(CLIP_STD)[:, None, None], persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        return (image.to(torch.float32).permute(0, 3, 1, 2) / 255 - cast(Tensor, self.mean)) / cast(Tensor, self.std)


class VisionTransformer(nn.Module):
    """CLIP's vision transformer: [B,3,S,S] normalised to features of all its tokens, [B, 1 + patches, embedding].

    They are projected without the final norm `ln_post`, which only `embed` has.
    """

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        width, tokens = config.vision_width, 1 + (config.view_size // config.patch) ** 2
        self.conv1 = nn.Conv2d(3, width, config.patch, config.patch, bias=False)
        self.class_embedding = nn.Parameter(torch.randn(width) / width**0.5)
        self.positional_embedding = nn.Parameter(torch.randn(tokens, width) / width**0.5)
        self.ln_pre = nn.LayerNorm(width)
        blocks = (Block(width, config.vision_heads) for _ in range(config.vision_layers))
        self.transformer = nn.ModuleDict({"resblocks": nn.ModuleList(blocks)})
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Parameter(torch.randn(width, config.embedding) / width**0.5)

    def forward(self, image: Tensor) -> Tensor:
        return self._tokens(image) @ self.proj

    def embed(self, image: Tensor) -> Tensor:
        """CLIP's own answer, the embedding of the picture [B, embedding], of any length."""
        return cast(Tensor, self.ln_post(self._tokens(image)[:, 0])) @ self.proj

    def _tokens(self, image: Tensor) -> Tensor:
        patches = self.conv1(image).flatten(2).transpose(1, 2)
        picture = self.class_embedding.expand(image.shape[0], 1, -1)
        x = self.ln_pre(torch.cat((picture, patches), 1) + self.positional_embedding)
        for block in cast(nn.ModuleList, self.transformer["resblocks"]):
            x = block(x)
        return cast(Tensor, x)


class VisualTower(nn.Module):
    """CLIP's modified ResNet: [B,3,S,S] normalised to maps of S/8, S/16 and, attention-pooled, S/32."""

    layer1: nn.Sequential
    layer2: nn.Sequential
    layer3: nn.Sequential
    layer4: nn.Sequential

    def __init__(self, config: CrisConfig) -> None:
        super().__init__()
        width = config.vision_width
        self.conv1 = nn.Conv2d(3, width // 2, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width // 2)
        self.conv2 = nn.Conv2d(width // 2, width // 2, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width // 2)
        self.conv3 = nn.Conv2d(width // 2, width, 3, 1, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        channels = width
        for n, blocks in enumerate(config.vision_layers):
            planes = width * 2**n
            stage = nn.Sequential()
            for block in range(blocks):
                stage.append(Bottleneck(channels, planes, 2 if n > 0 and block == 0 else 1))
                channels = planes * EXPANSION
            self.add_module(f"layer{n + 1}", stage)
        self.attnpool = AttentionPool(channels, config.vision_heads, config.embedding, config.image_size // 32)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = F.relu(self.bn1(self.conv1(image)))
        x = F.relu(self.bn2(self.conv2(x)))
        x = F.avg_pool2d(F.relu(self.bn3(self.conv3(x))), 2)
        eighth = self.layer2(self.layer1(x))
        sixteenth = self.layer3(eighth)
        return eighth, sixteenth, self.attnpool(self.layer4(sixteenth))


class Bottleneck(nn.Module):
    """CLIP's bottleneck: a stride is an average pooling in front of the last convolution and of the shortcut."""

    def __init__(self, inputs: int, planes: int, stride: int) -> None:
        super().__init__()
        outputs = planes * EXPANSION
        self.conv1 = nn.Conv2d(inputs, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.pool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        self.conv3 = nn.Conv2d(planes, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = (
            nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
            if stride > 1 or inputs != outputs
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.pool(F.relu(self.bn2(self.conv2(y))))
        y = self.bn3(self.conv3(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(self.pool(x))))


class AttentionPool(nn.Module):
    """CLIP's attention pooling kept spatial, without its mean token, beside a projected residual branch."""

    def __init__(self, channels: int, heads: int, outputs: int, grid: int) -> None:
        super().__init__()
        self.heads = heads
        self.positional_embedding = nn.Parameter(torch.randn(PRETRAINED_GRID**2 + 1, channels) / channels**0.5)
        self.k_proj = nn.Linear(channels, channels)
        self.q_proj = nn.Linear(channels, channels)
        self.v_proj = nn.Linear(channels, channels)
        self.c_proj = nn.Linear(channels, outputs)
        self.connect = nn.Sequential(nn.Conv2d(channels, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        self.register_buffer("resize", bicubic_matrix(PRETRAINED_GRID, grid), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2) + cast(Tensor, self.resize) @ self.positional_embedding[1:]
        q, k, v = (split_heads(proj(tokens), self.heads) for proj in (self.q_proj, self.k_proj, self.v_proj))
        pooled = self.c_proj(merge_heads(F.scaled_dot_product_attention(q, k, v)))
        return F.relu(pooled.transpose(1, 2).unflatten(2, x.shape[2:]) + self.connect(x))


def bicubic_matrix(source: int, target: int) -> Tensor:
    """[target^2, source^2]: bicubic resizing of a square grid (align_corners False) written as one linear map."""
    basis = torch.eye(source * source).reshape(source * source, 1, source, source)
    resized = F.interpolate(basis, size=(target, target), mode="bicubic", align_corners=False)
    return resized.flatten(1).T.contiguous()


class Block(nn.Module):
    """CLIP's pre-norm transformer block with QuickGELU."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attn = MultiHeadAttention(width, heads)
        self.ln_1 = nn.LayerNorm(width)
        self.mlp = nn.Module()
        self.mlp.c_fc = nn.Linear(width, 4 * width)
        self.mlp.c_proj = nn.Linear(4 * width, width)
        self.ln_2 = nn.LayerNorm(width)

    def forward(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, bias)
        y = cast(nn.Linear, self.mlp.c_fc)(self.ln_2(x))
        return x + cast(Tensor, cast(nn.Linear, self.mlp.c_proj)(y * torch.sigmoid(1.702 * y)))


class Clip(nn.Module):
    """Both towers under CLIP's own keys; `visual` is the one for pictures.

    `encode_text` takes ids int64 [B, length] and returns the features of every token after the final norm
    [B, length, text_width] and the projected state of the end token [B, outputs].
    """

    def __init__(self, config: TextConfig, visual: nn.Module) -> None:
        super().__init__()
        width, self.length = config.text_width, config.length
        self.visual = visual
        blocks = (Block(width, config.text_heads) for _ in range(config.text_layers))
        self.transformer = nn.ModuleDict({"resblocks": nn.ModuleList(blocks)})
        self.token_embedding = nn.Embedding(config.vocabulary, width)
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        self.positional_embedding = nn.Parameter(torch.randn(config.positions, width) * 0.01)
        self.ln_final = nn.LayerNorm(width)
        self.text_projection = nn.Parameter(torch.randn(width, config.embedding) / width**0.5)
        self.logit_scale = nn.Parameter(torch.tensor(0.0))  # published, without effect here
        hidden = torch.full((self.length, self.length), HIDDEN)
        self.register_buffer("causal", hidden.triu(1), persistent=False)

    def encode_text(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        x = self.token_embedding(tokens) + self.positional_embedding[: self.length]
        for block in cast(nn.ModuleList, self.transformer["resblocks"]):
            x = block(x, self.causal)
        x = self.ln_final(x)
        end = x[torch.arange(x.shape[0], device=x.device), tokens.argmax(dim=1)]
        return x, end @ self.text_projection
