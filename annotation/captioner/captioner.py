"""What a captioner is asked, and what becomes of its answers."""

from dataclasses import dataclass
from typing import ClassVar, Protocol

from annotation.picture import Picture
from annotation.wording import MOST_CHARACTERS, checked
from facade.problems import Problem

_SHOWN = (
    "The first picture has a magenta line around one object; the second shows that object alone. "
    "Name that object so that somebody who sees the picture without the line finds it. Do not mention the line. "
    "Answer with the words alone, in English, on one line."
)
PROMPTS = {
    "RefCOCO": f"{_SHOWN} Use a short phrase of three or four words, with a place where it helps, such as: "
    "left red cup",
    "RefCOCO+": f"{_SHOWN} Use a short phrase of what the object looks like, without any word of place or order "
    "such as left, top, middle or second, such as: man in striped shirt",
    "RefCOCOg": f"{_SHOWN} Use one full phrase of eight to twelve words that says what it looks like and what it does "
    "or stands beside, such as: a brown dog that lies on the grass beside a bench",
}
"""In the style of each data set (Yu et al., 2016; Mao et al., 2016), by its name."""


class CaptionerTrouble(Exception):
    """A captioner gave no words that can be used.

    Attributes:
        code: ``timeout``, ``unreachable``, ``refused`` (a status that is none of success), ``malformed`` (another form
            than is expected), or ``unusable`` (words that may not be an expression).
        words: what was wrong, for people.
    """

    CODES: ClassVar = ("timeout", "unreachable", "refused", "malformed", "unusable")

    def __init__(self, code: str, words: str) -> None:
        assert code in self.CODES
        super().__init__(code, words)
        self.code, self.words = code, words


class Captioner(Protocol):
    """Something that names parts of pictures."""

    name: str
    """For people: its address and model."""

    async def caption(self, picture: Picture, prompt: str) -> str:
        """Words for a picture's part, as they come.

        Raises:
            CaptionerTrouble: there are none.
        """

    async def close(self) -> None:
        """Ends its connections."""


@dataclass(frozen=True)
class Failure:
    """What a captioner had with one of the prompts."""

    source: str
    trouble: CaptionerTrouble


async def expressions(captioner: Captioner, picture: Picture) -> tuple[list[str], list[Failure]]:
    """What it answers to each of the prompts, one after the other, and what it had with the others."""
    found, failures = [], []
    for style, prompt in PROMPTS.items():
        try:
            found.append(usable(await captioner.caption(picture, prompt)))
        except CaptionerTrouble as trouble:
            failures.append(Failure(f"{captioner.name} {style}", trouble))
    return found, failures


def usable(answer: str) -> str:
    """The expression in an answer: without quotes around it and a full stop behind it.

    Raises:
        CaptionerTrouble: it is too long, has characters that cannot be seen, or no words.
    """
    try:
        return checked(answer.strip().strip("\"'“”‘’`").rstrip(".。 "), "captioner")
    except Problem as problem:
        length = f" of {len(answer)} characters" if len(answer) > MOST_CHARACTERS else ""
        raise CaptionerTrouble("unusable", f"an answer{length} that is no expression: {problem.detail}") from None
