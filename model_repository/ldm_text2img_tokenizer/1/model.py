from collections.abc import Collection
from pathlib import Path

import numpy as np

from concord.adapter import Sample, SampleModel
from concord.word_pieces import FILE, WordPieces


class TritonPythonModel(SampleModel):
    """Text to the word pieces that latent diffusion's text encoder reads."""

    def load(self) -> None:
        self._pieces = WordPieces.load(Path(__file__).with_name(FILE))

    def answer(self, sample: Sample, requested: Collection[str]) -> Sample:
        tokens, truncated = self._pieces.encode(sample["TEXT"])
        return {"TOKENS": tokens, "EMPTY_TOKENS": self._pieces.empty, "TRUNCATED": np.array([truncated])}
