"""DHT+ (TPAMI 2022): a Harmony Transformer that renders reflectance under the light of the background."""

from concord.repository.ensembles import Harmonizer
from export.network import Network
from export.networks import harmonizer
from export.networks.harmony_transformer import (
    ISLANDS,
    LIGHT,
    LIGHT_ENCODER,
    QUANTIZATION,
    HarmonyTransformerConfig,
    build,
)
from export.state_dict import StateDict

PUBLISHED = HarmonyTransformerConfig("dht_plus")

NETWORK = Network(
    name="dht",
    inputs=harmonizer.INPUTS,
    output=harmonizer.OUTPUT,
    draw=harmonizer.draw,
    source=StateDict(
        claims=lambda keys: LIGHT in keys and LIGHT_ENCODER not in keys,
        published=lambda _weights: PUBLISHED,
        build=build,
        served=harmonizer.ServedHarmonizer,
    ),
    published={"dht_plus": lambda: build(PUBLISHED)},
    golden=("dht_plus",),
    islands=ISLANDS,
    quantization=QUANTIZATION,
    seen=harmonizer.seen,
    harmonizer=Harmonizer("a transformer that answers in one pass, as reflectance times light", rank=20),
)
