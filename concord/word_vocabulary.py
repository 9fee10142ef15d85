"""A vocabulary of whole words, as text encoders have that were trained on the captions of one data set."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from concord.errors import InvalidText, ServerFailure

FILE = "vocabulary.json"
LONGEST = 25
"""Words of a text, of the longest text encoder."""

_WORD = re.compile(r"\w+", re.ASCII)
_MOST_BYTES = 4096


@dataclass(frozen=True)
class WordVocabulary:
    """The numbers of words.

    Attributes:
        numbers: by word, in small letters; 0 stands for no word.
        longest: how many words of a text are read, `LONGEST` at most.
    """

    numbers: Mapping[str, int]
    longest: int

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads what `dump` wrote; raises ServerFailure where there is none."""
        try:
            found = json.loads(path.read_text())
            return cls({word: number for number, word in enumerate(found["words"]) if number}, int(found["longest"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ServerFailure(path.stem, "it cannot be read; export the network again") from error

    def encode(self, text: bytes) -> tuple[npt.NDArray[np.int64], int, bool]:
        """Splits a text into words and looks them up; those that it does not have are left out, as published.

        Returns:
            tokens int64 [LONGEST], 0 behind the last word; how many there are; whether the text had more.

        Raises:
            InvalidText: no UTF-8, empty, too long, or without a word that the vocabulary has.
        """
        if len(text) > _MOST_BYTES:
            raise InvalidText("TEXT", f"{len(text)} bytes", f"at most {_MOST_BYTES} bytes")
        try:
            words = _WORD.findall(text.decode().lower())
        except UnicodeDecodeError:
            raise InvalidText("TEXT", "not UTF-8", "text in UTF-8") from None
        known = [self.numbers[word] for word in words if word in self.numbers]
        if not known:
            said = "none of its words is in the model's vocabulary" if words else "it has no words"
            raise InvalidText("TEXT", said, "a caption like those that the model was trained on, in English")
        tokens = np.zeros(LONGEST, np.int64)
        tokens[: min(len(known), self.longest)] = known[: self.longest]
        return tokens, min(len(known), self.longest), len(known) > self.longest


def dump(words: list[str], longest: int) -> bytes:
    """The file of a vocabulary: word 0, which stands for none, is the first."""
    return json.dumps({"longest": longest, "words": words}, ensure_ascii=True).encode()
