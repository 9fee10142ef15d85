"""What the page says, and the form of a model's settings, as HTML."""

import base64
from html import escape

from facade.problems import Problem
from facade.work.catalogue import ModelSetting

READ_FORM = """(...given) => {
    const fields = [...document.querySelectorAll("#settings [name]")]
    const written = (field) => field.type === "checkbox" ? String(field.checked) : field.value
    return [...given.slice(0, -1), Object.fromEntries(fields.map((field) => [field.name, written(field)]))]
}"""
"""Puts what is in the form in the place of a handler's last input, when something is asked for."""

_WIDEST_SLIDER = 1000
_FOLLOW = "oninput=\"this.parentElement.querySelectorAll('input').forEach((each) => { each.value = this.value })\""

_FIELDS = {"image": "The photograph", "mask": "What is marked", "text": "The words"}


def point(stage: str, busy: bool) -> str:
    """Where a tab is, for the style sheet."""
    return f'<i data-stage="{stage}" data-busy="{str(busy).lower()}"></i>'


def note(text: str) -> str:
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
        seconds = max(1, round(problem.retry_after))
        said.append(f"Try again in {'a second' if seconds == 1 else f'{seconds} seconds'}.")
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


def form_of(settings: list[ModelSetting]) -> str:
    """The form; empty where there is nothing to choose."""
    return "".join(_row(each) for each in settings if each.choices is None or len(each.choices) > 1)


def texts_of(sent: object) -> dict[str, str]:
    """What a browser sends of the form; an empty field leaves its setting to the server."""
    if not isinstance(sent, dict):
        return {}
    return {str(name): str(text).strip() for name, text in sent.items() if str(text).strip()}


def _row(setting: ModelSetting) -> str:
    title = setting.name.replace("_", " ").capitalize()
    about = f"<small>{escape(setting.description)}</small>" if setting.description else ""
    words = f'<span class="title">{escape(title)}</span>{about}'
    if setting.type == "boolean":
        checked = " checked" if setting.default else ""
        box = f'<input type="checkbox" name="{setting.name}"{checked}>'
        return f'<label class="setting" id="{setting.name}">{box}{words}</label>'
    if setting.choices is not None:
        return f'<label class="setting" id="{setting.name}">{words}{_select(setting)}</label>'
    low, high = setting.minimum, setting.maximum
    if setting.type == "integer" and low is not None and high is not None and high - low <= _WIDEST_SLIDER:
        value = low if setting.default is None else setting.default
        bounds = f'min="{low}" max="{high}" value="{value}" {_FOLLOW}'
        return (
            f'<div class="setting" id="{setting.name}"><label for="{setting.name}-number">{words}</label>'
            f'<div class="range"><input type="range" aria-label="{escape(title)}" {bounds}>'
            f'<input type="number" id="{setting.name}-number" name="{setting.name}" {bounds}></div></div>'
        )
    value = "" if setting.default is None else escape(str(setting.default))
    box = f'<input type="text" name="{setting.name}" value="{value}">'
    return f'<label class="setting" id="{setting.name}">{words}{box}</label>'


def _select(setting: ModelSetting) -> str:
    empty = '<option value="">by itself</option>' if setting.default is None else ""
    options = "".join(
        f"<option{' selected' if choice == setting.default else ''}>{escape(str(choice))}</option>"
        for choice in setting.choices or ()
    )
    return f'<select name="{setting.name}">{empty}{options}</select>'
