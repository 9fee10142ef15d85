"""MobileSAM: TinyViT and SAM's mask decoder in one checkpoint, `mobile_sam.pt`, whose keys these are.

Zhang et al., "Faster Segment Anything: Towards Lightweight SAM for Mobile Applications" (2023).
"""

from collections.abc import Collection
from dataclasses import dataclass

from torch import Tensor, nn

from concord.prompts import SQUARE
from export.network import ServedTensor
from export.networks.mask_decoder import FeedForward, MaskDecoder, MaskDecoderConfig, PromptEncoder
from export.networks.tiny_vit import TinyVit, TinyVitConfig

STRIDE = 16  # pixels of the square that an element of the embedding covers, each way
EMBEDDING = ServedTensor("EMBEDDING", "FP32", (256, SQUARE // STRIDE, SQUARE // STRIDE))


@dataclass(frozen=True)
class MobileSamConfig(TinyVitConfig, MaskDecoderConfig):
    """Sizes; the defaults are the published ones."""


class MobileSam(nn.Module):
    """Both halves, as they are published."""

    def __init__(self, config: MobileSamConfig) -> None:
        super().__init__()
        self.image_encoder = TinyVit(config)
        self.prompt_encoder = PromptEncoder(config.width)
        self.mask_decoder = MaskDecoder(config, FeedForward)

    def forward(self, image: Tensor, points: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Normalised `image` [B,3,S,S] with `points` and `labels` to its embedding, and `decode`'s answer."""
        embedding = self.image_encoder(image)
        return embedding, *self.decode(embedding, points, labels)

    def decode(self, embedding: Tensor, points: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Mask logits [B,4,4h,4w] and scores [B,4] of `embedding` [B,C,h,w], `points` [B,N,2] and `labels` [B,N]."""
        prompts = self.prompt_encoder
        unmasked = embedding + prompts.no_mask_embed.weight[:, :, None, None]
        places = prompts.grid(embedding.shape[2])
        masks, scores = self.mask_decoder(unmasked, places, prompts(points, labels), prompts.absent(labels))
        return masks, scores


def claims(keys: Collection[str]) -> bool:
    """Whether a checkpoint with these keys is one of MobileSAM."""
    return "image_encoder.patch_embed.seq.0.c.weight" in keys and "mask_decoder.iou_token.weight" in keys
