"""What the page says, as HTML."""

import base64
from html import escape

from facade.problems import Problem

_FIELDS = {
    "image": "The photograph",
    "mask": "What is marked",
    "text": "The words",
}


def point(stage: str, busy: bool) -> str:
    """Where a tab is, for the style sheet."""
    return f'<i data-stage="{stage}" data-busy="{str(busy).lower()}"></i>'


def note(text: str) -> str:
    """Something to know."""
    return f'<p class="note" role="status">{escape(text)}</p>'


def trouble(problem: Problem) -> str:
    """What went wrong, where, and what would have been right; or only when to come back, where that is all there is."""
    said = [f"<strong>{escape(problem.title)}.</strong>"]
    if problem.retry_after is None:
        where = f"{_FIELDS.get(problem.field, f'The {problem.field}')}: " if problem.field else ""
        said.append(f"{escape(where + problem.detail)}.")
        if problem.allowed:
            said.append(f"Allowed: {escape(problem.allowed)}.")
    else:
        said.append(f"Try again in {_seconds(problem.retry_after)}.")
    return f'<div class="trouble" role="alert">{" ".join(said)}</div>'


def progress(text: str, share: float | None = None) -> str:
    """That something is going on; and how far it is, 0..1, where that is known."""
    value = "" if share is None else f' value="{share:.3f}"'
    return f'<div class="progress" role="status"><p>{escape(text)}</p><progress{value} max="1"></progress></div>'


def picture(jpeg: bytes, text: str) -> str:
    """A small picture, as large as there is room."""
    return f'<img src="data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}" alt="{escape(text)}">'


def found(score: float, truncated: bool) -> str:
    """What came of looking for something; score is how sure that is, 0..1, and 0 where nothing was found."""
    if score == 0:
        return "Nothing was found for these words. Try others, or paint over it."
    cut = " Only the beginning of the words was used." if truncated else ""
    return f"Found, {score:.0%} sure.{cut} Change it with brush and eraser, or harmonize."


def finished(seconds: float, seed: int | None) -> str:
    """What a result took, and how to get it again."""
    drawn = "" if seed is None else f" Seed {seed} gives it again."
    return f"Done in {seconds:.1f} seconds. Drag the handle to compare.{drawn}"


def _seconds(seconds: float) -> str:
    whole = max(1, round(seconds))
    return "a second" if whole == 1 else f"{whole} seconds"
