"""Texts to BERT's word pieces, as the text encoder of latent diffusion takes them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer as Pieces
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from concord.errors import InvalidText, ServerFailure
from concord.tokenizer import ALLOWED, decoded, framed

FILE = "vocabulary.txt"
"""One piece a line, in the order of their numbers: ``vocab.txt`` of ``bert-base-uncased``."""
LENGTH = 77
PADDING, UNKNOWN, START, END = "[PAD]", "[UNK]", "[CLS]", "[SEP]"
SPECIAL = (PADDING, UNKNOWN, START, END)


class WordPieces:
    """BERT's lower-cased pieces of words (Devlin et al. 2019), the longest that the vocabulary has first.

    Equal to transformers' ``BertTokenizer``, except that ``[SEP]`` and the like in a text are words like any other.

    Args:
        pieces: in the order of their numbers, `SPECIAL` among them.
    """

    def __init__(self, pieces: Sequence[str]) -> None:
        self._numbers = {piece: number for number, piece in enumerate(pieces)}
        self._encoder = Pieces(WordPiece(self._numbers, unk_token=UNKNOWN))
        self._encoder.normalizer = BertNormalizer(lowercase=True)
        self._encoder.pre_tokenizer = BertPreTokenizer()

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads a vocabulary; raises ServerFailure where there is none."""
        try:
            return cls(read(path))
        except (OSError, UnicodeDecodeError) as error:
            raise ServerFailure(path.stem, "it cannot be read; export the networks again") from error

    def encode(self, text: bytes) -> tuple[NDArray[np.int64], bool]:
        """Numbers of a text's pieces, int64 [LENGTH]: start, pieces, end, padding; whether the text lost its end.

        Raises:
            InvalidText: empty, blank, not UTF-8, too long, or without anything that is a word or a sign.
        """
        found = self._encoder.encode(decoded(text)).ids
        if not found:
            raise InvalidText("TEXT", "blank", ALLOWED)
        return self._framed(found), len(found) > LENGTH - 2

    @property
    def empty(self) -> NDArray[np.int64]:
        """Those of the empty text."""
        return self._framed([])

    def _framed(self, pieces: list[int]) -> NDArray[np.int64]:
        start, end, padding = (self._numbers[piece] for piece in (START, END, PADDING))
        return framed(pieces, LENGTH, start, end, padding)


def read(path: Path) -> list[str]:
    """The pieces of a vocabulary's file; raises OSError, or UnicodeDecodeError."""
    # Not `splitlines`: characters that end a line elsewhere are pieces.
    return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")


def dump(pieces: Sequence[str]) -> bytes:
    """The file of a vocabulary."""
    return "".join(f"{piece}\n" for piece in pieces).encode()
