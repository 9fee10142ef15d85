"""OpenAI's CLIP as it is published, ViT-B/16 and ViT-B/32: what its two served towers have in common.

Radford et al., "Learning Transferable Visual Models From Natural Language Supervision" (2021). State-dict compatible
with the authors' `ViT-B-16.pt`, a TorchScript archive.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from math import isqrt

from torch import Tensor

from concord.clip_view import VIEW_SIZE
from concord.repository.profiles import PROFILES
from concord.tokenizer import PROMPT_LENGTH
from export.networks.clip import Clip, VisionConfig, VisionTransformer
from export.state_dict import StateDict

EMBEDDING = 512
PROFILED = [name for name in PROFILES if name not in ("bf16", "int8", "fp16")]
VIT_B_16 = VisionConfig(patch=16)
_HEAD = 64  # channels of every head
_VISUAL = "visual."
_MARKS = ("visual.class_embedding", "visual.proj", "token_embedding.weight", "text_projection")
_PLAIN = ("input_resolution", "context_length", "vocab_size")  # numbers that the archive keeps beside the weights


def build(config: VisionConfig) -> Clip:
    """Both towers under the published keys."""
    return Clip(config, VisionTransformer(config))


def sizes(weights: Mapping[str, Tensor]) -> VisionConfig:
    """The sizes of a CLIP with a vision transformer, from the shapes of its weights."""
    visual = {key.removeprefix(_VISUAL): value for key, value in weights.items() if key.startswith(_VISUAL)}
    width = len(weights["ln_final.weight"])
    return replace(
        vision_sizes(visual),
        vocabulary=weights["token_embedding.weight"].shape[0],
        positions=weights["positional_embedding"].shape[0],
        length=PROMPT_LENGTH,
        text_width=width,
        text_heads=max(1, width // _HEAD),
        text_layers=_layers(weights),
    )


def vision_sizes(weights: Mapping[str, Tensor]) -> VisionConfig:
    """The sizes of the tower for pictures alone, from the shapes of its weights, without a prefix."""
    width, _, patch, _ = weights["conv1.weight"].shape
    return VisionConfig(
        embedding=weights["proj"].shape[1],
        view_size=patch * isqrt(len(weights["positional_embedding"]) - 1),
        patch=patch,
        vision_width=width,
        vision_heads=max(1, width // _HEAD),
        vision_layers=_layers(weights),
    )


def refused(config: VisionConfig, _weights: Mapping[str, Tensor]) -> str:
    """Why a CLIP of other sizes is not served; empty where it is."""
    if (config.view_size, config.embedding, config.positions) == (VIEW_SIZE, EMBEDDING, PROMPT_LENGTH):
        return ""
    return (
        f"this CLIP sees {config.view_size} x {config.view_size} pixels and {config.positions} tokens, and its "
        f"embeddings have {config.embedding} numbers; served are ViT-B/16 and ViT-B/32, with {VIEW_SIZE}, "
        f"{PROMPT_LENGTH} and {EMBEDDING}"
    )


def claims(keys: Collection[str]) -> bool:
    """Whether a checkpoint with these keys is a CLIP with a vision transformer, and nothing more."""
    return all(key in keys for key in _MARKS)


SOURCE = StateDict(
    claims=claims,
    published=sizes,
    build=build,
    served=lambda network: network,
    refused=refused,
    unused=lambda key: key in _PLAIN,
)


def _layers(weights: Mapping[str, Tensor]) -> int:
    return sum(key.startswith("transformer.resblocks.") and key.endswith(".ln_1.weight") for key in weights)
