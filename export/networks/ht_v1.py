"""HT (ICCV 2021): a Harmony Transformer between a convolutional encoder and decoder."""

from concord.repository.ensembles import Harmonizer
from export.network import Network
from export.networks import harmonizer
from export.networks.harmony_transformer import ISLANDS, QUANTIZATION, HarmonyTransformerConfig, build
from export.state_dict import StateDict

PUBLISHED = HarmonyTransformerConfig("ht_v1")

NETWORK = Network(
    name="ht_v1",
    inputs=harmonizer.INPUTS,
    output=harmonizer.OUTPUT,
    draw=harmonizer.draw,
    source=StateDict(
        claims=lambda keys: "enc.model.0.conv.weight" in keys,
        published=lambda _weights: PUBLISHED,
        build=build,
        served=harmonizer.ServedHarmonizer,
    ),
    published={"ht_v1": lambda: build(PUBLISHED)},
    golden=("ht_v1",),
    islands=ISLANDS,
    quantization=QUANTIZATION,
    seen=harmonizer.seen,
    harmonizer=Harmonizer("the first form of ht, with convolutions around its transformer", rank=40),
)
