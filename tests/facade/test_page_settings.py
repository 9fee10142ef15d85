"""The page's form: a field for each setting of the chosen model, of the kind that the setting is."""

import pytest

from facade.page.form import form_of, texts_of
from facade.page.languages import LANGUAGES
from facade.work.catalogue import ModelSetting

ENGLISH = LANGUAGES["en"]


def setting(kind: str, **declared: object) -> ModelSetting:
    return ModelSetting(name="much", type=kind, description="how much", **declared)


FIELDS = {
    "a whole number without end": (
        setting("integer", minimum=0, maximum=2**63 - 1),
        '<input type="text" name="much" value="">',
    ),
    "a text": (setting("string", default="so"), '<input type="text" name="much" value="so">'),
    "a number": (setting("number", minimum=0, maximum=1, default=0.5), '<input type="text" name="much" value="0.5">'),
    "a range": (
        setting("integer", minimum=1, maximum=50, default=5),
        'type="range" aria-label="Much" min="1" max="50"',
    ),
    "choices": (setting("string", choices=["a", "b"], default="b"), "<option>a</option><option selected>b</option>"),
    "choices without a default": (setting("integer", choices=[1, 2]), '<select name="much"><option value="">'),
    "yes or no": (setting("boolean", default=True, choices=[False, True]), 'type="checkbox" name="much" checked'),
}


@pytest.mark.parametrize("kind", FIELDS)
def test_a_field_is_of_the_kind_of_its_setting(kind):
    declared, field = FIELDS[kind]
    form = form_of([declared], ENGLISH)
    assert field in form and "how much" in form


def test_what_has_one_value_only_is_not_asked_for():
    assert form_of([setting("string", choices=["only"]), setting("boolean", choices=[False])], ENGLISH) == ""


def test_what_a_server_declares_is_no_html():
    assert "<script>" not in form_of([setting("string", choices=["<script>", "b"], default="b")], ENGLISH)
    assert "<script>" not in form_of([ModelSetting(name="a", type="string", description="<script>")], ENGLISH)


def test_an_empty_field_is_left_to_the_server():
    assert texts_of({"seed": " 7 ", "steps": "", "refine": "false"}) == {"seed": "7", "refine": "false"}


@pytest.mark.parametrize("sent", [None, "<form>", ["seed"], 3])
def test_what_is_no_form_is_an_empty_one(sent):
    assert texts_of(sent) == {}
