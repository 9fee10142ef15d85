from collections.abc import Collection

import numpy as np

from concord.adapter import Sample, SampleModel
from concord.tokenizer import Tokenizer


class TritonPythonModel(SampleModel):
    """Referring expression to the tokens that CRIS reads."""

    def load(self) -> None:
        self._tokenizer = Tokenizer.load()

    def answer(self, sample: Sample, requested: Collection[str]) -> Sample:
        tokens, truncated = self._tokenizer.encode(sample["TEXT"])
        return {"TOKENS": tokens, "TRUNCATED": np.array([truncated])}
