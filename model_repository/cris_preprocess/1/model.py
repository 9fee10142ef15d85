from collections.abc import Collection

import numpy as np

from concord.adapter import Sample, SampleModel
from concord.letterbox import letterbox
from concord.tokenizer import Tokenizer


class TritonPythonModel(SampleModel):
    """Pixels and referring expression to the square and the tokens that CRIS reads."""

    def load(self) -> None:
        self._tokenizer = Tokenizer.load()

    def answer(self, sample: Sample, requested: Collection[str]) -> Sample:
        tokens, truncated = self._tokenizer.encode(sample["TEXT"])
        return {
            "CRIS_IMAGE": letterbox(sample["PIXELS"]),
            "TOKENS": tokens,
            "TRUNCATED": np.array([truncated]),
        }
