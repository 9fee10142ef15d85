"""D-HT (ICCV 2021): DHT+ with one more encoder of the light."""

from concord.repository.ensembles import Harmonizer
from export.network import Network
from export.networks import harmonizer
from export.networks.harmony_transformer import (
    ISLANDS,
    LIGHT_ENCODER,
    QUANTIZATION,
    HarmonyTransformerConfig,
    build,
)
from export.state_dict import StateDict

PUBLISHED = HarmonyTransformerConfig("dht_v1")

NETWORK = Network(
    name="dht_v1",
    inputs=harmonizer.INPUTS,
    output=harmonizer.OUTPUT,
    draw=harmonizer.draw,
    source=StateDict(
        claims=lambda keys: LIGHT_ENCODER in keys,
        published=lambda _weights: PUBLISHED,
        build=build,
        served=harmonizer.ServedHarmonizer,
    ),
    published={"dht_v1": lambda: build(PUBLISHED)},
    golden=("dht_v1",),
    islands=ISLANDS,
    quantization=QUANTIZATION,
    seen=harmonizer.seen,
    harmonizer=Harmonizer("the first form of dht, with one more encoder of the light", rank=50),
)
