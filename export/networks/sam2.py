"""SAM 2 for single pictures: Hiera and a mask decoder in one checkpoint, `sam2.1_hiera_tiny.pt`, whose keys these are.

Ravi et al., "SAM 2: Segment Anything in Images and Videos" (2024). What the checkpoint has for videos, the memory of
earlier frames, is left out: `of_video`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from concord.prompts import ABSENT, PADDING, SQUARE
from export.network import ServedTensor
from export.networks.hiera import HieraConfig, ImageEncoder
from export.networks.mask_decoder import MaskDecoder, MaskDecoderConfig, Perceptron, PromptEncoder

EMBEDDING = tuple(
    ServedTensor(name, "FP32", (channels, SQUARE // stride, SQUARE // stride))
    for name, channels, stride in (("EMBEDDING", 256, 16), ("FEATURES_8", 64, 8), ("FEATURES_4", 32, 4))
)
"""What the encoder answers: the embedding, and finer maps whose elements cover 8 and 4 pixels of the square."""
VIDEO = (
    "maskmem_tpos_enc",
    "memory_attention.",
    "memory_encoder.",
    "mask_downsample.",
    "no_mem_pos_enc",
    "no_obj_embed_spatial",
    "no_obj_ptr",
    "obj_ptr_proj.",
    "obj_ptr_tpos_proj.",
    "sam_mask_decoder.pred_obj_score_head.",
)
"""How the keys begin that a picture alone does not need: memory, pointers to objects, and whether one is in a frame."""


@dataclass(frozen=True)
class Sam2Config(HieraConfig, MaskDecoderConfig):
    """Sizes; the defaults are the published ones."""


class Sam2(nn.Module):
    """Both halves, as they are published."""

    def __init__(self, config: Sam2Config) -> None:
        super().__init__()
        self.image_encoder = ImageEncoder(config)
        self.no_mem_embed = nn.Parameter(torch.zeros(1, 1, config.width))
        self.sam_prompt_encoder = PromptEncoder(config.width)
        self.sam_mask_decoder = FineMaskDecoder(config)

    def forward(self, image: Tensor, points: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        """Normalised `image` [B,3,S,S] with `points` and `labels` to what `encode` and `decode` answer."""
        encoded = self.encode(image)
        return *encoded, *self.decode(*encoded, points, labels)

    def encode(self, image: Tensor, places: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """The embedding [B,C,S/16,S/16], and [B,C/4,S/8,S/8] and [B,C/8,S/4,S/4] of `image` [B,3,S,S].

        `places` are those of `Hiera.places`, where they are at hand.
        """
        finest, fine, embedding = self.image_encoder(image, places)
        decoder = self.sam_mask_decoder
        # A picture is a frame without a past.
        return embedding + self.no_mem_embed[0, 0, :, None, None], decoder.conv_s1(fine), decoder.conv_s0(finest)

    def decode(
        self, embedding: Tensor, fine: Tensor, finest: Tensor, points: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Mask logits [B,4,4h,4w] and scores [B,4] of 0..1, of what `encode` answers, `points` [B,N,2], `labels` [B,N].

        As published, there is one point of padding behind any others, also behind a box.
        """
        prompts = self.sam_prompt_encoder
        points = F.pad(points, (0, 0, 0, 1))
        labels = F.pad(labels.masked_fill(labels == PADDING, ABSENT), (0, 1), value=PADDING)
        unmasked = embedding + prompts.no_mask_embed.weight[:, :, None, None]
        places = prompts.grid(embedding.shape[2])
        asked = prompts(points, labels), prompts.absent(labels)
        masks, scores = self.sam_mask_decoder(unmasked, places, *asked, fine, finest)
        return masks, scores.sigmoid()


class FineMaskDecoder(MaskDecoder):
    """A mask decoder with a token for whether there is an object, and maps of finer strides added on the way up."""

    def __init__(self, config: MaskDecoderConfig) -> None:
        width = config.width
        super().__init__(config, lambda outside, inside: Perceptron(outside, inside, outside))
        self.obj_score_token = nn.Embedding(1, width)
        self.conv_s0 = nn.Conv2d(width, width // 8, 1)
        self.conv_s1 = nn.Conv2d(width, width // 4, 1)

    def own_tokens(self) -> Tensor:
        # Its place among the tokens has no effect.
        return torch.cat((super().own_tokens(), self.obj_score_token.weight))

    def upscaled(self, pixels: Tensor, *finer: Tensor) -> Tensor:
        fine, finest = finer
        double, norm, between, again, last = self.output_upscaling
        x = between(norm(double(pixels) + fine))
        return cast(Tensor, last(again(x) + finest))


def claims(keys: Collection[str]) -> bool:
    """Whether a checkpoint with these keys is one of SAM 2."""
    return "image_encoder.trunk.patch_embed.proj.weight" in keys and "sam_mask_decoder.iou_token.weight" in keys


def of_video(key: str) -> bool:
    """Whether a key of a checkpoint is one that a picture alone does not need."""
    return key.startswith(VIDEO)


def refused(config: Sam2Config, weights: Mapping[str, Tensor]) -> str:
    """Why weights cannot be of these sizes; empty if they can."""
    trunk = "image_encoder.trunk."
    width = len(weights[trunk + "patch_embed.proj.weight"])
    depth = sum(key.startswith(trunk + "blocks.") and key.endswith(".norm1.weight") for key in weights)
    expected = sum(config.stage_depths), config.stem_width
    if (depth, width) != expected:
        served = "{} from {} channels on are served".format(*expected)
        return f"a SAM 2 of another size: its trunk has {depth} blocks from {width} channels on; {served}"
    return ""
