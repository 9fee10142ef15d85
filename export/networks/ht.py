"""HT+ (TPAMI 2022): a Harmony Transformer that reads and writes patches of the picture."""

from concord.repository.ensembles import Harmonizer
from export.networks.harmony_transformer import declare

NETWORK = declare(
    "ht",
    "ht_plus",
    claims=lambda keys: (
        "patch_to_embedding.1.weight" in keys and "transformer_enc.encoder.layers.0.norm1.weight" in keys
    ),
    harmonizer=Harmonizer("a transformer that answers in one pass", rank=10),
)
