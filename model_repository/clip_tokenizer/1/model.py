from collections.abc import Collection

import numpy as np

from concord.adapter import Sample, SampleModel
from concord.tokenizer import EMPTY_PROMPT, Tokenizer


class TritonPythonModel(SampleModel):
    """Text to the tokens that Stable Diffusion's text encoder reads."""

    def load(self) -> None:
        self._tokenizer = Tokenizer.load()

    def answer(self, sample: Sample, requested: Collection[str]) -> Sample:
        tokens, truncated = self._tokenizer.prompt(sample["TEXT"])
        return {"TOKENS": tokens, "EMPTY_TOKENS": EMPTY_PROMPT, "TRUNCATED": np.array([truncated])}
