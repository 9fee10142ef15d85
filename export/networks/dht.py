"""DHT+ (TPAMI 2022): a Harmony Transformer that renders reflectance under the light of the background."""

from concord.repository.ensembles import Harmonizer
from export.networks.harmony_transformer import LIGHT, LIGHT_ENCODER, declare

REFLECTANCE_ENCODER = "reflectance_transformer_enc.encoder.layers.0.norm1.weight"

NETWORK = declare(
    "dht",
    "dht_plus",
    claims=lambda keys: LIGHT in keys and REFLECTANCE_ENCODER in keys and LIGHT_ENCODER not in keys,
    harmonizer=Harmonizer("a transformer that answers in one pass, as reflectance times light", rank=20),
)
