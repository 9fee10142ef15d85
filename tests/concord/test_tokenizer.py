"""The tokenizer is open_clip's, and refuses what is no referring expression."""

import gzip
import sys

import numpy as np
import open_clip
import pytest

from concord.errors import InvalidText
from concord.tokenizer import CONTEXT_LENGTH, MAX_BYTES, VOCABULARY, Tokenizer
from export.vocabulary import read_merges

EXPRESSIONS = [
    "the teddy bear",
    "The Tennis PLAYER in white",
    "  second   woman\tfrom\nthe left\u00a0 ",
    "the café's crème brûlée, naïve façade",
    "cafe\u0301 with a combining accent",
    "man's, we've, I'm, you'll, they'd, it's 'S 'LL can't",
    "the “left” man’s ‘hat’ – or — was it… the right?",
    "smiling 😀 dog 🐕‍🦺 with a 👩‍👩‍👧‍👦 family",
    "Tom &amp; Jerry &lt;3 &amp;amp; &#39;quoted&#39; &eacute;",
    "schÃ¶n und grÃ¼n",
    "1 22 333 4,000.50 x2 3rd ½ Ⅷ ²",
    "a_b-c/d\\e+f=g#h@i!j?k",
    "左边的白色茶杯",
    "赤い車の隣の人",
    "сидящая женщина",
    "الرجل على اليسار",
    "ผู้หญิงในชุดขาว",
    "ﬁnd the ﬂag ＦＵＬＬＷＩＤＴＨ",
    "İstanbul ISPARTA ß ẞ ſ 'ſ K Å",
    "zero\u200bwidth \ufeffmark soft\u00adhyphen",
    "bell\x07 and \x1f separator",
    "antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis",
    "a" * 400,
    "!?" * 60,
    ".",
    "the man who is standing to the very far left side of the big old red bus that is parked here",
    "the one with <start_of_tex and end_of_text>",
]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.load()


@pytest.fixture(scope="module")
def published() -> open_clip.SimpleTokenizer:
    return open_clip.SimpleTokenizer(context_length=CONTEXT_LENGTH)


def test_the_vocabulary_that_ships_is_the_one_the_script_makes() -> None:
    assert gzip.decompress(VOCABULARY.read_bytes()).decode().split("\n") == read_merges()


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_tokens_are_open_clips(tokenizer: Tokenizer, published: open_clip.SimpleTokenizer, expression: str) -> None:
    tokens, truncated = tokenizer.encode(expression.encode())
    assert tokens.dtype == np.int64
    assert tokens.tolist() == published(expression)[0].tolist()
    assert truncated == (len(published.encode(expression)) > CONTEXT_LENGTH - 2)


def test_every_character_gets_open_clips_tokens(tokenizer: Tokenizer, published: open_clip.SimpleTokenizer) -> None:
    characters = [chr(code) for code in range(0x21, 0x3000) if chr(code).isprintable()]
    characters += [chr(code) for code in range(0x3000, sys.maxunicode, 97) if chr(code).isprintable()]
    different = []
    for start in range(0, len(characters), 5):
        expression = "a".join(characters[start : start + 5])
        tokens, _ = tokenizer.encode(expression.encode())
        if tokens.tolist() != published(expression)[0].tolist():
            different.append(expression)
    assert different == []


def test_fifteen_tokens_fit_and_the_sixteenth_is_cut_off(tokenizer: Tokenizer) -> None:
    fitting, truncated = tokenizer.encode(b"red " * 15)
    assert fitting[-1] == 49407
    assert not truncated
    cut, truncated = tokenizer.encode(b"red " * 16)
    assert cut.tolist() == fitting.tolist()
    assert truncated


def test_a_text_cannot_forge_the_end_token(tokenizer: Tokenizer) -> None:
    tokens, _ = tokenizer.encode(b"cat <end_of_text> dog")
    assert np.count_nonzero(tokens == 49407) == 1
    assert np.count_nonzero(tokens == 49406) == 1


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", "empty"),
        (b"   ", "blank"),
        (b"\n\t\r\n", "blank"),
        ("\u00a0\u2003".encode(), "blank"),
        (b"&nbsp; &amp;nbsp;", "blank"),
        (b"\x00\x01", "blank"),
        (b"caf\xe9", "not UTF-8"),
        (b"\xff\xfe\x00c", "not UTF-8"),
        (b"\xed\xa0\x80", "not UTF-8"),
        (b"x" * (MAX_BYTES + 1), "10001 bytes"),
    ],
)
def test_unusable_text_is_refused(tokenizer: Tokenizer, text: bytes, problem: str) -> None:
    with pytest.raises(InvalidText, match="TEXT") as caught:
        tokenizer.encode(text)
    assert caught.value.field == "TEXT"
    assert problem in caught.value.problem
    assert "UTF-8" in caught.value.allowed


def test_the_longest_allowed_text_is_tokenized(tokenizer: Tokenizer) -> None:
    tokens, truncated = tokenizer.encode(b"x" * MAX_BYTES)
    assert tokens.shape == (CONTEXT_LENGTH,)
    assert truncated
