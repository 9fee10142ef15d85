from collections.abc import Collection
from pathlib import Path

import numpy as np

from concord.adapter import Sample, SampleModel
from concord.word_vocabulary import FILE, WordVocabulary


class TritonPythonModel(SampleModel):
    """Caption to the words that AttnGAN's text encoder reads."""

    def load(self) -> None:
        self._vocabulary = WordVocabulary.load(Path(__file__).with_name(FILE))

    def answer(self, sample: Sample, requested: Collection[str]) -> Sample:
        tokens, length, truncated = self._vocabulary.encode(sample["TEXT"])
        return {"TOKENS": tokens, "LENGTH": np.array([length]), "TRUNCATED": np.array([truncated])}
