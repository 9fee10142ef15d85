"""HT+ (TPAMI 2022): a Harmony Transformer that reads and writes patches of the picture."""

from concord.repository.ensembles import Harmonizer
from export.network import Network
from export.networks import harmonizer
from export.networks.harmony_transformer import ISLANDS, QUANTIZATION, HarmonyTransformerConfig, build
from export.state_dict import StateDict

PUBLISHED = HarmonyTransformerConfig("ht_plus")

NETWORK = Network(
    name="ht",
    inputs=harmonizer.INPUTS,
    output=harmonizer.OUTPUT,
    draw=harmonizer.draw,
    source=StateDict(
        claims=lambda keys: "patch_to_embedding.1.weight" in keys,
        published=lambda _weights: PUBLISHED,
        build=build,
        served=harmonizer.ServedHarmonizer,
    ),
    published={"ht_plus": lambda: build(PUBLISHED)},
    golden=("ht_plus",),
    islands=ISLANDS,
    quantization=QUANTIZATION,
    seen=harmonizer.seen,
    harmonizer=Harmonizer("a transformer that answers in one pass", rank=10),
)
