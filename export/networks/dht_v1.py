"""D-HT (ICCV 2021): DHT+ with one more encoder of the light."""

from concord.repository.ensembles import Harmonizer
from export.networks.harmony_transformer import LIGHT_ENCODER, declare

NETWORK = declare(
    "dht_v1",
    "dht_v1",
    claims=lambda keys: LIGHT_ENCODER in keys,
    harmonizer=Harmonizer("the first form of dht, with one more encoder of the light", rank=50),
)
