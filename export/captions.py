"""AttnGAN's `captions.pickle`: the words that a text encoder was trained with. No code in the file is run."""

import io
import pickle
from pathlib import Path
from typing import Any

from export.checkpoint import CheckpointError, first_line

_MOST_BYTES = 1 << 30
_WORD_OF_NUMBER = 2
"""Place in the published list: captions to train and to test with, the word of a number, the number of a word."""


class _PlainUnpickler(pickle.Unpickler):
    """Reads lists, dictionaries, texts and numbers, and nothing that is found by its name."""

    def find_class(self, module: str, name: str) -> Any:
        raise CheckpointError(f"refused, it holds more than plain values: {module}.{name}")

    def persistent_load(self, _identity: Any) -> Any:
        raise CheckpointError("refused, it refers to something outside")


def read_words(path: Path) -> list[str]:
    """The words in the order of their numbers; number 0 is the end of a caption, which stands for no word.

    Raises:
        CheckpointError: not readable, holding anything but plain values, or not the published list.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise CheckpointError("larger than a gigabyte")
        # What Python 2 wrote.
        found = _PlainUnpickler(io.BytesIO(path.read_bytes()), encoding="latin1").load()
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no such file") from error
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    except Exception as error:  # a damaged file raises nearly anything
        raise CheckpointError(f"{path}: damaged or not a pickle ({first_line(error)})") from error
    try:
        words = found[_WORD_OF_NUMBER]
        listed = [words[number] for number in range(len(words))]
    except (LookupError, TypeError):
        raise CheckpointError(f"{path}: not the list of captions and words that AttnGAN publishes") from None
    if len(listed) < 2 or not all(isinstance(word, str) for word in listed):
        raise CheckpointError(f"{path}: its words are no texts")
    return listed
