"""The form of a model's settings, as HTML."""

from html import escape

from concord_client.catalogue import PREVIEW
from concord_client.composition import COMPOSITION
from facade.page.languages import Language
from facade.work.catalogue import ModelSetting

READ_FORM = """(...given) => {
    const fields = [...document.querySelectorAll("#settings [name]")]
    const written = (field) => field.type === "checkbox" ? String(field.checked) : field.value
    return [...given.slice(0, -1), Object.fromEntries(fields.map((field) => [field.name, written(field)]))]
}"""
"""Puts what is in the form in the place of a handler's last input, when something is asked for."""

OF_THE_PAGE = frozenset({PREVIEW.lower(), *(each.public_name for each in COMPOSITION.values())})
"""Settings that the page makes itself: previews are always shown, and strength and form are chosen with the result."""

_WIDEST_SLIDER = 1000
_FOLLOW = "oninput=\"this.parentElement.querySelectorAll('input').forEach((each) => { each.value = this.value })\""


def form_of(settings: list[ModelSetting], say: Language) -> str:
    """The form; empty where there is nothing to choose."""
    asked = (each for each in settings if each.name not in OF_THE_PAGE)
    return "".join(_row(each, say) for each in asked if each.choices is None or len(each.choices) > 1)


def texts_of(sent: object) -> dict[str, str]:
    """What a browser sends of the form; an empty field leaves its setting to the server."""
    if not isinstance(sent, dict):
        return {}
    return {str(name): str(text).strip() for name, text in sent.items() if str(text).strip()}


def _row(setting: ModelSetting, say: Language) -> str:
    title = setting.name.replace("_", " ").capitalize()
    about = f"<small>{escape(setting.description)}</small>" if setting.description else ""
    words = f'<span class="title">{escape(title)}</span>{about}'
    if setting.type == "boolean":
        checked = " checked" if setting.default else ""
        box = f'<input type="checkbox" name="{setting.name}"{checked}>'
        return f'<label class="setting" id="{setting.name}">{box}{words}</label>'
    if setting.choices is not None:
        return f'<label class="setting" id="{setting.name}">{words}{_select(setting, say)}</label>'
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


def _select(setting: ModelSetting, say: Language) -> str:
    empty = f'<option value="">{escape(say("ask.by_itself"))}</option>' if setting.default is None else ""
    options = "".join(
        f"<option{' selected' if choice == setting.default else ''}>{escape(str(choice))}</option>"
        for choice in setting.choices or ()
    )
    return f'<select name="{setting.name}">{empty}{options}</select>'
