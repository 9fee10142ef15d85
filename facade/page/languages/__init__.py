"""The languages of the page: a table of its sentences in each, and which of them a browser wants.

What a server declares of its models (what one does, the names and words of its settings) is shown as it is declared.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from facade.page.languages.chinese import CHINESE
from facade.page.languages.english import ENGLISH

__all__ = ["CHINESE", "ENGLISH", "LANGUAGES", "Language", "language_of"]


@dataclass(frozen=True)
class Language:
    """One language.

    Attributes:
        tag: as HTML and browsers write it (BCP 47).
        table: sentence by key; what stands in braces is filled in.
    """

    tag: str
    table: Mapping[str, str]

    def __call__(self, key: str, **values: object) -> str:
        """A sentence with these values."""
        return self.table[key].format(**values)


LANGUAGES = {"en": Language("en", ENGLISH), "zh": Language("zh-CN", CHINESE)}
"""By the first part of their tags; the first is for browsers that want none of them."""


def language_of(accepted: str, languages: Mapping[str, Language] = LANGUAGES) -> Language:
    """The one of these languages, by the first part of their tags, that a browser likes most.

    Given its header ``Accept-Language`` (RFC 9110, 12.5.4); the first one, where it likes none of them.
    """
    liked: list[tuple[float, Language]] = []
    for each in accepted.split(","):
        tag, _, weight = each.partition(";")
        language = languages.get(tag.strip().partition("-")[0].lower())
        try:
            quality = float(weight.strip().removeprefix("q=")) if weight else 1.0
        except ValueError:
            continue
        if language is not None and quality > 0:
            liked.append((quality, language))
    return max(liked, key=lambda each: each[0], default=(1.0, next(iter(languages.values()))))[1]
