"""The qualification: known answers have to be found before the samples come."""

import re
from pathlib import Path

import pytest

from annotation.ledger.turns import Places
from annotation.qualification import Qualification
from annotation.record import Annotation, DatasetError, Record, Skipped
from tests.annotation.scenes import write_scenes
from tests.annotation.site import Person, Site, visited

NAMES = [f"{subset}/c{number}_1_1.jpg" for number, subset in enumerate(("HCOCO", "Hday2night") * 2)]
KNOWN: list[Record] = [
    Annotation(NAMES[0], "the star"),
    Annotation(NAMES[0], "the blue star"),
    Annotation(NAMES[1], "the ball"),
    Skipped(NAMES[2]),
]


def test_wrong_options_are_what_is_right_elsewhere() -> None:
    asked = Qualification.of(KNOWN, NAMES, 3, 1.0)
    questions = {each.composite: each for each in asked.questions("ada", 1)}
    assert questions[NAMES[0]].right == {"the star", "the blue star"}
    assert set(questions[NAMES[0]].options) == {"the star", "the blue star", "the ball"}
    assert questions[NAMES[2]].right == frozenset() and len(questions[NAMES[2]].options) == 3
    assert questions[NAMES[2]].is_right([]) and not questions[NAMES[0]].is_right(["the star"])


def test_an_attempt_has_the_same_questions_each_time_and_another_has_others() -> None:
    asked = Qualification.of(KNOWN, NAMES, 2, 1.0)
    assert asked.questions("ada", 1) == asked.questions("ada", 1)
    assert len({tuple(each.composite for each in asked.questions("ada", number)) for number in range(9)}) > 1


@pytest.mark.parametrize(("right", "passed"), [(8, True), (7, False)])
def test_the_threshold_is_a_share(right: int, passed: bool) -> None:
    assert Qualification({}, 10, 0.8).is_passed([True] * right + [False] * (10 - right)) is passed


def test_known_answers_that_cannot_be_asked_are_refused() -> None:
    with pytest.raises(DatasetError, match="has 3 composites; 4 are to be asked"):
        Qualification.of(KNOWN, NAMES, 4, 0.8)
    with pytest.raises(DatasetError, match=r"HCOCO/other\.jpg, which is not in the data set"):
        Qualification.of([*KNOWN, Skipped("HCOCO/other.jpg")], NAMES, 3, 0.8)


async def answers(person: Person, asked: Qualification, *, well: bool) -> None:
    """Answers all questions of an attempt."""
    for number in range(1, asked.number + 1):
        page = await person.sees("/qualification")
        assert f"Question {number} of {asked.number}" in page
        composite = re.search(r'name="composite" value="([^"]+)"', page)
        assert composite is not None
        words = re.findall(r'class="words">([^<]+)<', page)
        right = asked.answers[composite[1]]
        chosen = [index for index, each in enumerate(words) if (each in right) == well]
        fields = {"chosen": chosen, "action": "keep" if chosen else "skip"}
        await person.sends("/qualification", composite=composite[1], **fields)
        # The same once more, as by pressing twice, changes nothing.
        await person.sends("/qualification", composite=composite[1], action="skip")


def test_samples_come_when_the_known_answers_were_found(tmp_path: Path) -> None:
    write_scenes(tmp_path, 4)
    asked = Qualification.of(KNOWN, NAMES, 3, 1.0)

    async def visit(site: Site) -> None:
        async with site.person() as ada:
            await ada.enters()
            assert (await ada.http.get("/sample")).headers["location"] == "/qualification"
            place = f"/samples/{NAMES[3]}"
            assert (await ada.sends(place, action="skip")).status_code == 403
            await answers(ada, asked, well=False)
            page = await ada.sees("/sample")
            assert "Not yet" in page and "3 are needed" in page
            await ada.sends("/qualification/again")
            await answers(ada, asked, well=True)
            assert "3 of 3 answers were right" in await ada.sees("/qualification")
            # What was asked in the qualification is no sample.
            page = await ada.sees("/sample")
            assert f'action="{place}"' in page and "0 of 1 done" in page

    visited(tmp_path, visit, Places(), asked)
