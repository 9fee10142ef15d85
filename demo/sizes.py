"""Sizes of the demo networks: the published architectures, small enough for two cores and a git repository."""

from export.networks.cris import CrisConfig
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
