"""Expressions: which are the same, and which may be written."""

import pytest

from annotation.wording import MOST_CHARACTERS, checked, sameness
from facade.problems import Problem


@pytest.mark.parametrize(
    "other", ["red ball", "The red ball.", "a RED ball", "the red-ball!", "“the red ball”", "ｔｈｅ ｒｅｄ ball"]
)
def test_case_articles_punctuation_and_width_make_no_other_expression(other: str) -> None:
    assert sameness(other) == sameness("the red ball")


@pytest.mark.parametrize("other", ["the red balls", "the ball red", "the ball", "红色的球"])
def test_other_words_make_another_expression(other: str) -> None:
    assert sameness(other) != sameness("the red ball")


def test_what_is_only_an_article_is_still_told_from_another() -> None:
    assert sameness("the") != sameness("a")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("  the  red ball ", "the red ball"),
        ("cafe\u0301", "caf\u00e9"),
        ("左边的猫", "左边的猫"),
        ("x" * 200, "x" * 200),
    ],
)
def test_words_are_kept_without_needless_blanks(given: str, kept: str) -> None:
    assert checked(given, "own") == kept


@pytest.mark.parametrize(
    "given",
    ["", " ", "...", "the\x00cat", "the\ncat", "the \u202ecat", "x" * (MOST_CHARACTERS + 1), "a\ud800", "\ue000a"],
)
def test_what_cannot_be_used_is_refused_with_what_is_allowed(given: str) -> None:
    with pytest.raises(Problem) as refused:
        checked(given, "own")
    assert (refused.value.code, refused.value.field) == ("invalid_text", "own") and refused.value.allowed
