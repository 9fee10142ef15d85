"""The languages of the page: no sentence is missing in one, and a browser gets the one that it likes most."""

from string import Formatter

import pytest

from facade.page.examples import EXAMPLES
from facade.page.languages import CHINESE, ENGLISH, LANGUAGES, language_of


def holes(sentence: str) -> list[str]:
    return sorted(f"{name}:{form}" for _, name, form, _ in Formatter().parse(sentence) if name)


def test_every_language_has_every_sentence_with_the_same_holes():
    assert CHINESE.keys() == ENGLISH.keys()
    for key, sentence in ENGLISH.items():
        assert sentence and CHINESE[key] and holes(CHINESE[key]) == holes(sentence), key


def test_every_example_has_a_title():
    assert {each.title for each in EXAMPLES} <= ENGLISH.keys()


@pytest.mark.parametrize(
    ("accepted", "tag"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"),
        ("ZH", "zh-CN"),
        ("en-GB,zh;q=0.5", "en"),
        ("de,fr;q=0.9,zh;q=0.1", "zh-CN"),
        ("zh;q=0,en;q=0.1", "en"),
        ("zh;q=much", "en"),
        ("de", "en"),
        ("*", "en"),
        ("", "en"),
    ],
)
def test_the_browser_says_which_it_likes(accepted, tag):
    assert language_of(accepted) is next(each for each in LANGUAGES.values() if each.tag == tag)
