"""Sizes of the demo networks: the published architectures, small enough for two cores and a git repository."""

from typing import Any

from export.networks.clip import CrisConfig
from export.networks.harmony_transformer import HarmonyTransformerConfig

CRIS = CrisConfig(
    vision_layers=(1, 1, 2, 1),
    vision_width=16,
    vision_heads=8,
    embedding=64,
    text_width=48,
    text_heads=4,
    text_layers=2,
    neck=(32, 48, 96),
    heads=4,
    feedforward=128,
    layers=2,
)
DHT = HarmonyTransformerConfig(
    form="dht_plus", base=16, width=64, feedforward=128, layers=1, light_layers=2, render_layers=1
)
HT = HarmonyTransformerConfig(form="ht_plus", width=96, feedforward=192, layers=3)
VAE: dict[str, Any] = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (16, 32, 64, 64),
    "layers_per_block": 1,
    "latent_channels": 4,
    "norm_num_groups": 2,
    "sample_size": 256,
}
TINY_VAE: dict[str, Any] = {"encoder_block_out_channels": (16,) * 4, "decoder_block_out_channels": (16,) * 4}
UNET: dict[str, Any] = {
    "sample_size": 32,
    "in_channels": 9,
    "out_channels": 4,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "block_out_channels": (48, 80, 112),
    "layers_per_block": 1,
    "cross_attention_dim": 32,
    "attention_head_dim": 4,
    "norm_num_groups": 4,
}
TEXT_STATES = (4, 32)  # instead of the empty prompt: tokens x cross_attention_dim
