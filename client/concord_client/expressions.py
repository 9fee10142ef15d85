"""Texts of many photographs: a file of JSON lines, ``{"image": "beach.jpg", "text": "the red ball"}``."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Self

_KEYS = ("image", "text")
_ALLOWED = '{"image": NAME, "text": WORDS}'


@dataclass(frozen=True)
class Expressions:
    """What such a file says; a bad line does not spoil the others.

    Attributes:
        texts: by the image's name as it is written.
        lines: number of the line, from 1, of each of these names.
        problems: what is wrong with a line, by its number.
    """

    texts: Mapping[str, str]
    lines: Mapping[str, int]
    problems: Mapping[int, str]

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """Reads a file in UTF-8; empty lines are passed over."""
        texts: dict[str, str] = {}
        lines: dict[str, int] = {}
        problems: dict[int, str] = {}
        for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").splitlines(), 1):
            if not line.strip():
                continue
            try:
                image, text = _read(line)
                if image in lines:
                    raise ValueError(f"{image!r} is in line {lines[image]} already")
            except ValueError as error:
                problems[number] = str(error)
            else:
                texts[image], lines[image] = text, number
        return cls(texts, lines, problems)

    def of(self, name: str) -> str | None:
        """The text of an image, which is written with its folders or without; None if there is none."""
        return self.texts.get(name, self.texts.get(PurePosixPath(name).name))

    def unmatched(self, names: set[str]) -> dict[int, str]:
        """What is wrong with the lines, those among them that name none of these images."""
        known = names | {PurePosixPath(name).name for name in names}
        strange = {self.lines[image]: f"there is no image {image!r}" for image in self.texts if image not in known}
        return dict(sorted({**self.problems, **strange}.items()))


def _read(line: bytes) -> tuple[str, str]:
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError(f"not JSON in UTF-8; allowed: {_ALLOWED}") from None
    if not isinstance(told, dict) or set(told) != set(_KEYS):
        raise ValueError(f"not an object with just {' and '.join(_KEYS)}; allowed: {_ALLOWED}")
    for key in _KEYS:
        if not isinstance(told[key], str) or not told[key].strip():
            raise ValueError(f"{key} is no text; allowed: {_ALLOWED}")
    return told["image"], told["text"]
