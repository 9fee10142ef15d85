"""What the page says, as HTML, in the language of the browser that asks."""

import base64
from html import escape
from pathlib import Path

from facade.page.languages import Language
from facade.problems import Problem

FILE = "/gradio_api/file="
"""Where the page serves a file of its folder."""

_FIELDS = ("image", "mask", "text")


def note(text: str) -> str:
    return f'<p class="note" role="status">{escape(text)}</p>'


def trouble(problem: Problem, say: Language) -> str:
    """What went wrong, where, and what would have been right; or only when to come back, where that is all there is."""
    title = say("trouble.title", title=say(f"problem.{problem.code}"))
    said = [f"<strong>{escape(title)}</strong>"]
    if problem.retry_after is None:
        told = say("trouble.what", what=problem.detail)
        if problem.field:
            known = say(f"trouble.{problem.field}") if problem.field in _FIELDS else None
            where = known or say("trouble.field", field=problem.field)
            told = say("trouble.where", where=where, what=problem.detail)
        said.append(escape(told))
        if problem.allowed:
            said.append(escape(say("trouble.allowed", allowed=problem.allowed)))
    else:
        seconds = max(1, round(problem.retry_after))
        said.append(say("trouble.soon") if seconds == 1 else say("trouble.later", seconds=seconds))
    return f'<div class="trouble" role="alert">{" ".join(said)}</div>'


def progress(text: str, share: float | None = None) -> str:
    """That something is going on; and how far it is, 0..1, where that is known."""
    value = "" if share is None else f' value="{share:.3f}"'
    bar = f'<progress aria-label="{escape(text)}"{value} max="1"></progress>'
    return f'<div class="progress" role="status"><p>{escape(text)}</p>{bar}</div>'


def picture(jpeg: bytes, text: str) -> str:
    """A small picture, as large as there is room."""
    return f'<img src="data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}" alt="{escape(text)}">'


def file(path: Path, text: str) -> str:
    """A picture of the page's folder."""
    return f'<img src="{FILE}{path}" alt="{escape(text)}">'


def found(score: float, truncated: bool, say: Language) -> str:
    """What came of looking for something; score is how sure that is, 0..1, and 0 where nothing was found."""
    if score == 0:
        return say("words.nothing")
    sentences = [say("words.found", score=score), *([say("words.truncated")] if truncated else [])]
    return " ".join(sentences)


def finished(seconds: float, seed: int | None, say: Language, *, compared: bool, truncated: bool) -> str:
    """What a result took, how to compare it, and how to get it again."""
    sentences = [
        say("result.done", seconds=seconds),
        *([say("result.drag")] if compared else []),
        *([] if seed is None else [say("result.again", seed=seed)]),
        *([say("words.truncated")] if truncated else []),
    ]
    return " ".join(sentences)
