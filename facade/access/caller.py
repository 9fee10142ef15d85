"""Who asks, without HTTP, and what they may do: every route, the page and batches read this."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

from limits import parse

from concord.limits import Limits
from concord.tokenizer import MAX_BYTES
from facade.settings import MOST_PICTURES, Settings, SettingsError


@dataclass(frozen=True)
class Allowance:
    """The limits of one caller.

    Attributes:
        rate: requests, such as ``60/minute``.
        max_bytes: of an encoded image.
        max_pixels: width x height of an image.
        pictures: answers of models on a day.
        max_text_bytes: of a text, as UTF-8.
        models: names of the models that may be asked; empty for all.
        manage: whether they may be loaded and unloaded, too.
    """

    rate: str
    max_bytes: int
    max_pixels: int
    pictures: int = MOST_PICTURES
    max_text_bytes: int = MAX_BYTES
    models: tuple[str, ...] = ()
    manage: bool = False

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """What everybody may do who has no limits of their own."""
        return cls(settings.rate_limit, settings.max_bytes, settings.max_pixels, settings.pictures)

    def limited(self, words: Iterable[str]) -> Self:
        """The allowance with limits of its own: ``NAME=VALUE`` each, models separated by commas; and ``manage``.

        Raises:
            SettingsError: a word is none of these, or allows more than everybody has.
        """
        own: dict[str, Any] = dict(map(self._read, words))
        return replace(self, **own)

    @property
    def limits(self) -> Limits:
        return Limits(self.max_pixels, self.max_bytes)

    def has_model(self, name: str) -> bool:
        return not self.models or name in self.models

    def _read(self, word: str) -> tuple[str, object]:
        if word == "manage":
            return word, True
        name, _, text = word.partition("=")
        if name == "models" and text:
            return name, tuple(text.split(","))
        try:
            if name == "rate":
                parse(text)
                return name, text
            sizes = {each.name for each in fields(self) if each.type is int}
            if name in sizes and 1 <= int(text) <= getattr(self, name):
                return name, int(text)
        except ValueError:
            pass
        allowed = (
            "rate=COUNT/PERIOD, models=NAME,NAME, manage; "
            "max_bytes, max_pixels, max_text_bytes, pictures, to everybody's at most"
        )
        raise SettingsError(f"{word[:40]!r} is no limit of a key; allowed: {allowed}")


@dataclass(frozen=True)
class Caller:
    """Who asks.

    Attributes:
        job: the id under which the request can be cancelled; None where nobody needs to know it.
        owner: who alone may cancel it: name of the key it came with, empty without keys.
        headers: sent on to Triton as they are.
        allowance: what the caller may do; None for what everybody may.
    """

    job: str | None = None
    owner: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    allowance: Allowance | None = None


ANYONE = Caller()
