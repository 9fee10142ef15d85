"""What comes before the work: the guide, and questions whose answers are known."""

import asyncio
import math
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from annotation.ledger import people
from annotation.page.fields import Fields
from annotation.page.rendering import page
from annotation.page.visits import GUIDE, QUALIFICATION, WORK, Elsewhere, somebody
from annotation.page.workplace import workplace_of
from annotation.qualification import Qualification
from facade.problems import Problem


async def guide(request: Request) -> Response:
    """The guide; when it was read to its end, what comes next."""
    annotator, workplace = await somebody(request), workplace_of(request)
    if request.method == "POST":
        async with workplace.store.begin() as session:
            await people.mark_guided(session, annotator.name)
        return RedirectResponse(WORK, HTTPStatus.SEE_OTHER)
    asked = workplace.qualification if not annotator.qualified else None
    return page(request, "guide.html", asked=asked, needed=asked and needed(asked))


async def qualification(request: Request) -> Response:
    """The next question, or how it went; and an answer to a question."""
    annotator, workplace = await somebody(request), workplace_of(request)
    asked = workplace.qualification
    if asked is None:
        raise Elsewhere(WORK)
    if not annotator.guided:
        raise Elsewhere(GUIDE)
    questions = asked.questions(annotator.name, annotator.attempt)
    async with workplace.store.reading() as session:
        trials = await people.trials(session, annotator.name, annotator.attempt)
    left = [each for each in questions if each.composite not in trials]
    if request.method == "POST":
        given = await Fields.of(request)
        question = next((each for each in left if each.composite == given.text("composite")), None)
        # One that was answered already, in another tab or by pressing twice, counts as it was answered first.
        if question is not None:
            numbers = [] if given.text("action") == "skip" else given.numbers("chosen")
            if any(number >= len(question.options) for number in numbers):
                raise Problem("invalid_setting", "there is no such expression", field="chosen")
            is_right = question.is_right(question.options[number] for number in numbers)
            trials[question.composite] = is_right
            async with workplace.store.begin() as session:
                await people.keep_trial(
                    session, annotator.name, annotator.attempt, question.composite, is_right=is_right
                )
                if len(trials) == len(questions) and asked.is_passed(trials.values()):
                    await people.mark_qualified(session, annotator.name)
        return RedirectResponse(QUALIFICATION, HTTPStatus.SEE_OTHER)
    if not left or annotator.qualified:
        right = sum(trials.values())
        return page(
            request, "result.html", passed=annotator.qualified, right=right, total=len(questions), needed=needed(asked)
        )
    shown = await asyncio.to_thread(workplace.picture, left[0].composite)
    return page(request, "question.html", question=left[0], shown=shown, number=len(trials) + 1, total=len(questions))


async def again(request: Request) -> Response:
    """Another attempt, after one that was not passed."""
    annotator, workplace = await somebody(request), workplace_of(request)
    asked = workplace.qualification
    async with workplace.store.begin() as session:
        trials = await people.trials(session, annotator.name, annotator.attempt)
        if asked is not None and not annotator.qualified and len(trials) >= asked.number:
            await people.try_again(session, annotator.name, annotator.attempt)
    return RedirectResponse(QUALIFICATION, HTTPStatus.SEE_OTHER)


def needed(asked: Qualification) -> int:
    """How many answers have to be right."""
    return math.ceil(asked.threshold * asked.number - 1e-9)
