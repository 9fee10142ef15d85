import pytest

from facade.page import messages
from facade.page.languages import LANGUAGES
from facade.problems import Problem

ENGLISH = LANGUAGES["en"]


def test_a_refusal_says_what_where_and_what_is_allowed():
    problem = Problem("invalid_setting", "99 is not allowed", field="steps", allowed="a whole number from 1 to 50")
    told = messages.trouble(problem, ENGLISH)
    assert "The steps: 99 is not allowed. Allowed: a whole number from 1 to 50." in told
    assert 'role="alert"' in told and "urn:" not in told and "[invalid_setting]" not in told


def test_who_is_too_early_is_told_when_to_come_back():
    told = messages.trouble(Problem("too_busy", "2 wait", retry_after=6.6), ENGLISH)
    assert "The server is busy." in told and "Try again in 7 seconds." in told


@pytest.mark.parametrize(
    "tell", [messages.note, messages.progress, lambda text: messages.trouble(Problem("internal", text), ENGLISH)]
)
def test_what_a_person_wrote_is_no_html(tell):
    assert "<script>" not in tell("<script>")


def test_progress_without_a_measure_is_still_progress():
    assert "value" not in messages.progress("Looking")
    assert 'value="0.250"' in messages.progress("Step 1 of 4", 0.25)
