"""A host that reads texts and asks networks in torch, for tests of text-to-image loops."""

from collections.abc import Mapping, Sequence

import numpy as np
from torch import nn

from concord.loops.host import Sample
from export.networks.text_unet import Texts
from tests.export.latent import TorchHost


class TextHost(TorchHost):
    """Has the tokens of texts from a function, in the place of the model `tokenizer`."""

    def __init__(self, networks: Mapping[str, nn.Module], texts: Texts) -> None:
        super().__init__(networks)
        self.texts = texts

    async def ask(self, model: str, inputs: Sample, outputs: Sequence[str]) -> Sample:
        if model != "tokenizer":
            return await super().ask(model, inputs, outputs)
        tokens_of, empty = self.texts
        return {"TOKENS": tokens_of(inputs["TEXT"]), "EMPTY_TOKENS": empty, "TRUNCATED": np.array([False])}
