"""Texts to CLIP's tokens, as CRIS and the text encoder of Stable Diffusion take them."""

import gzip
import html
from pathlib import Path

import ftfy
import numpy as np
from numpy.typing import NDArray
from tokenizers import Regex
from tokenizers import Tokenizer as BytePairTokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Sequence, Split

from concord.errors import InvalidText

CONTEXT_LENGTH = 17
PROMPT_LENGTH = 77
START, END = 49406, 49407
MAX_BYTES = 10_000

VOCABULARY = Path(__file__).with_name("clip_vocabulary.txt.gz")
"""CLIP's byte-pair merges, one a line, in order of rank."""
MERGES = 48_894

_WORDS = r"(?i)'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"
ALLOWED = f"a text in UTF-8, at most {MAX_BYTES} bytes"


class Tokenizer:
    """CLIP's lower-cased byte-pair encoding (Radford et al. 2021), with its cleaning of the text.

    Equal to open_clip's ``SimpleTokenizer``, except that ``<start_of_text>`` and ``<end_of_text>`` in a text are words
    like any other: a client cannot end the expression for the network.
    """

    def __init__(self, merges: list[tuple[str, str]]) -> None:
        units = _byte_units()
        tokens = units + [unit + "</w>" for unit in units] + ["".join(merge) for merge in merges]
        vocabulary = {token: index for index, token in enumerate(tokens)}
        self._encoder = BytePairTokenizer(BPE(vocabulary, merges, end_of_word_suffix="</w>"))
        words = Split(Regex(_WORDS), behavior="removed", invert=True)
        self._encoder.pre_tokenizer = Sequence([words, ByteLevel(add_prefix_space=False, use_regex=False)])

    @classmethod
    def load(cls) -> "Tokenizer":
        """The tokenizer with the vocabulary that ships with Concord."""
        lines = gzip.decompress(VOCABULARY.read_bytes()).decode().split("\n")
        return cls([(first, second) for first, second in (line.split(" ") for line in lines)])

    def encode(self, text: bytes, length: int = CONTEXT_LENGTH, padding: int = 0) -> tuple[NDArray[np.int64], bool]:
        """Tokens of a text, and whether it was too long and lost its end.

        They are int64 [length]: 49406, up to ``length - 2`` tokens, 49407, then ``padding``.

        Raises:
            InvalidText: empty, blank, not UTF-8, or more than 10 000 bytes.
        """
        tokens = self._encoder.encode(_clean(decoded(text))).ids
        return framed(tokens, length, START, END, padding), len(tokens) > length - 2

    def prompt(self, text: bytes) -> tuple[NDArray[np.int64], bool]:
        """As `encode`, as long as Stable Diffusion 1 reads it, which pads with the end."""
        return self.encode(text, PROMPT_LENGTH, END)


def decoded(text: bytes) -> str:
    """A text in UTF-8; raises InvalidText for one that is empty, too long or of another encoding."""
    if not text:
        raise InvalidText("TEXT", "empty", ALLOWED)
    if len(text) > MAX_BYTES:
        raise InvalidText("TEXT", f"{len(text)} bytes", ALLOWED)
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidText("TEXT", "not UTF-8", ALLOWED) from None


def framed(tokens: list[int], length: int, start: int, end: int, padding: int) -> NDArray[np.int64]:
    """int64 [length]: the start, as many tokens as there is room for, the end, and padding."""
    kept = tokens[: length - 2]
    padded = np.full(length, padding, np.int64)
    padded[: len(kept) + 2] = [start, *kept, end]
    return padded


EMPTY_PROMPT = framed([], PROMPT_LENGTH, START, END, END)


def _clean(text: str) -> str:
    text = html.unescape(html.unescape(ftfy.fix_text(text)))
    text = " ".join(text.split()).lower()
    if not text:
        raise InvalidText("TEXT", "blank", ALLOWED)
    return text


def _byte_units() -> list[str]:
    """The 256 characters that stand for bytes, in the order of CLIP's vocabulary (that of GPT-2)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    return [chr(byte) for byte in printable] + [chr(256 + n) for n in range(256 - len(printable))]
