"""HT (ICCV 2021): a Harmony Transformer between a convolutional encoder and decoder."""

from concord.repository.ensembles import Harmonizer
from export.networks.harmony_transformer import declare

NETWORK = declare(
    "ht_v1",
    "ht_v1",
    claims=lambda keys: "enc.model.0.conv.weight" in keys,
    harmonizer=Harmonizer("the first form of ht, with convolutions around its transformer", rank=40),
)
