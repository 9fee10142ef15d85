"""What the page knows of a mode follows from its task's request, and every sentence that it needs is there."""

import pytest

from concord_client.tasks import TASKS
from facade.page.languages import LANGUAGES
from facade.page.layout import guide
from facade.page.modes import MODES, mode_of, served

EVERY = ("title", "bring", "press", "going")
OF_WORDS = ("words", "info", "example", "missing")


@pytest.mark.parametrize(
    ("name", "photograph", "mask", "words", "file"),
    [
        ("harmonize", True, True, "part", "harmonized"),
        ("inpaint", True, True, "part", "inpainted"),
        ("edit", True, True, "picture", "edited"),
        ("generate", False, False, "picture", "generated"),
        ("upscale", True, False, "none", "upscaled"),
    ],
)
def test_a_mode_asks_for_what_its_request_holds(name, photograph, mask, words, file):
    mode = mode_of(name)
    assert (mode.name, mode.takes("image"), mode.takes("mask")) == (name, photograph, mask)
    assert (mode.words, mode.file) == (words, file)


@pytest.mark.parametrize("language", LANGUAGES.values(), ids=lambda language: language.tag)
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_every_sentence_of_a_mode_is_there(mode, language):
    wanted = EVERY if mode.words == "none" else EVERY + OF_WORDS
    assert all(language.table[f"mode.{mode.name}.{each}"] for each in wanted)
    assert language(f"mode.{mode.name}") and (not mode.takes("image") or "<li>" in guide(mode, language))


def test_a_mode_is_offered_where_a_model_of_its_task_is_served():
    assert [mode.name for mode in served({"upscale", "segment", "inpaint"})] == ["inpaint", "upscale"]
    assert served({"segment", "select"}) == []
    assert {mode.name for mode in MODES} == {task.TASK for task in TASKS} - {"segment", "select"}


def test_what_is_not_served_is_not_entered():
    some = served({"upscale", "inpaint"})
    assert mode_of("upscale", some).name == "upscale"
    assert mode_of("harmonize", some).name == mode_of(None, some).name == "inpaint"
    assert mode_of(None).name == mode_of(None, []).name == "harmonize"
