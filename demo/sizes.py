"""Sizes of the demo networks: the published architectures, small enough for two cores and a git repository."""

from typing import Any

from export.networks.clip import CrisConfig
from export.networks.clip_ht import ClipHTConfig
from export.networks.diffir import DiffIRConfig
from export.networks.harmony_transformer import HarmonyTransformerConfig
from export.networks.ldm_text2img import LdmText2ImgConfig

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
CLIP_HT = ClipHTConfig(
    embedding=48,
    vocabulary=64,
    text_width=8,
    text_heads=2,
    text_layers=1,
    vision_width=48,
    vision_heads=4,
    vision_layers=2,
    width=HT.width,
    heads=HT.heads,
    feedforward=HT.feedforward,
    layers=HT.layers,
)
DIFFIR = DiffIRConfig(width=16, blocks=(0, 1, 2, 4), condition_blocks=1, resolution=64)
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
TEXT_ENCODER: dict[str, Any] = {  # as CRIS's text tower, with whose weights it begins
    "hidden_size": CRIS.text_width,
    "intermediate_size": 4 * CRIS.text_width,
    "num_hidden_layers": CRIS.text_layers,
    "num_attention_heads": CRIS.text_heads,
}
REFERRING_UNET = UNET | {"cross_attention_dim": CRIS.text_width}
TEXT_STATES = (4, 32)  # instead of the empty prompt: tokens x cross_attention_dim
LDM = LdmText2ImgConfig(  # its autoencoder is VAE; a UNet of few channels loses colours where each is normalized alone
    widths=(32, 64, 96),
    layers=1,
    heads=2,
    text_width=64,
    text_layers=2,
    features=16,
    multiples=(1, 2, 4, 4),
    autoencoder_layers=1,
    groups=2,
)
