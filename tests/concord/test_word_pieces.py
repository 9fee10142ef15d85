"""Word pieces are those of BERT's tokenizer, and a text is refused or cut off as it is told."""

from pathlib import Path

import numpy as np
import pytest
from transformers import BertTokenizer

from concord import word_pieces
from concord.errors import InvalidText, ServerFailure
from concord.word_pieces import LENGTH, SPECIAL, WordPieces

WORDS = ["the", "teddy", "bear", "un", "##aff", "##able", "##s", "cafe", "naive", "it", "'", "s", "-", "1", "22", "!"]
LETTERS = [mark + letter for letter in "abcdefghijklmnopqrstuvwxyz0123456789" for mark in ("", "##")]
PIECES = [*SPECIAL, *WORDS, *(each for each in LETTERS if each not in WORDS), "\u2028", "左", "边"]
TEXTS = [
    "the teddy bear",
    "  The TEDDY\tbear\n ",
    "unaffables",
    "caf\u00e9 na\u00efve cafe\u0301",
    "it's the bear-22!",
    "a1b2 [x] {y} (z)",
    "左边 左边bear",
    "сидящая женщина",
    "smiling \U0001f600 bear",
    "x" * 101,
    "zero\u200bwidth \ufeffmark soft\u00adhyphen bell\x07",
    "\u0130stanbul \u00df",
    "bear " * 75,
    "bear " * 76,
]


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bert") / word_pieces.FILE
    path.write_bytes(word_pieces.dump(PIECES))
    return path


@pytest.mark.parametrize("text", TEXTS)
def test_pieces_are_those_of_berts_tokenizer(vocabulary: Path, text: str) -> None:
    published = BertTokenizer(str(vocabulary), do_lower_case=True)
    expected = published(text, truncation=True, max_length=LENGTH, padding="max_length")["input_ids"]
    tokens, truncated = WordPieces.load(vocabulary).encode(text.encode())
    assert tokens.dtype == np.int64 and tokens.tolist() == expected
    assert truncated == (len(published(text)["input_ids"]) > LENGTH)


def test_no_text_is_a_start_and_an_end(vocabulary: Path) -> None:
    published = BertTokenizer(str(vocabulary))("", padding="max_length", max_length=LENGTH)["input_ids"]
    assert WordPieces.load(vocabulary).empty.tolist() == published


def test_a_text_cannot_forge_the_end(vocabulary: Path) -> None:
    tokens, _ = WordPieces.load(vocabulary).encode(b"bear [SEP] [PAD] bear")
    assert np.count_nonzero(tokens == PIECES.index("[SEP]")) == 1


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", "empty"),
        (b" \n", "blank"),
        (b"\x00\x01", "blank"),
        (b"caf\xe9", "not UTF-8"),
        (b"x" * 10_001, "10001 bytes"),
    ],
)
def test_unusable_text_is_refused(vocabulary: Path, text: bytes, problem: str) -> None:
    with pytest.raises(InvalidText) as caught:
        WordPieces.load(vocabulary).encode(text)
    assert (caught.value.field, caught.value.problem) == ("TEXT", problem)


def test_a_vocabulary_comes_back_as_it_was_written_and_its_absence_is_told(vocabulary: Path, tmp_path: Path) -> None:
    assert word_pieces.read(vocabulary) == PIECES
    with pytest.raises(ServerFailure, match="export the networks again"):
        WordPieces.load(tmp_path / word_pieces.FILE)
