"""The work: the next sample, an answer to one, and drafts of answers."""

import asyncio
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from annotation.ledger import drafts, expressions, samples, turns
from annotation.ledger.tables import Annotator, Expression, SampleRow
from annotation.page.fields import Fields
from annotation.page.rendering import page
from annotation.page.visits import WORK, somebody, worker
from annotation.page.workplace import Workplace, workplace_of
from annotation.record import Source
from annotation.wording import MOST_CHARACTERS, checked, visible
from facade.problems import Problem

_TRIES = 20
SKIP = "skip"


SAMPLES = "/samples/"


async def work(request: Request) -> Response:
    """The sample that is the annotator's now."""
    annotator, workplace = await worker(request), workplace_of(request)
    for _ in range(_TRIES):
        async with workplace.store.begin() as session:
            row = await workplace.places.next(session, annotator.name)
        if row is None:
            break
        try:
            return await _shown(request, workplace, row, annotator)
        except Problem as problem:
            # One that cannot be shown is set aside.
            if problem.code != "not_found":
                raise
    return page(request, "done.html")


async def sample(request: Request) -> Response:
    """A sample by its composite's name, as the annotator has answered it; or the answer."""
    annotator, workplace = await worker(request), workplace_of(request)
    async with workplace.store.reading() as session:
        row = await _row(session, request)
    if request.method != "POST":
        async with workplace.store.begin() as session:
            await workplace.places.claim(session, row, annotator.name)
        return await _shown(request, workplace, row, annotator)
    given = await Fields.of(request)
    where = await _answer(workplace, row, annotator, given)
    workplace.ahead.wake()
    if "application/json" in request.headers.get("accept", ""):
        return JSONResponse({"next": where})
    return RedirectResponse(where, HTTPStatus.SEE_OTHER)


async def draft(request: Request) -> Response:
    """What the annotator has chosen and typed so far; keeps the sample for that annotator, too."""
    annotator, workplace = await worker(request), workplace_of(request)
    given = await Fields.of(request)
    async with workplace.store.begin() as session:
        row = await _row(session, request)
        await workplace.places.claim(session, row, annotator.name)
        own = visible(given.text("own"))[:MOST_CHARACTERS]
        await drafts.keep(session, row.id, annotator.name, given.numbers("chosen"), own)
    return Response(status_code=HTTPStatus.NO_CONTENT)


async def picture(request: Request) -> Response:
    """A composite, as JPEG."""
    await somebody(request)
    shown = await asyncio.to_thread(workplace_of(request).picture, _name(request))
    return Response(shown.jpeg, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})


async def _shown(request: Request, workplace: Workplace, row: SampleRow, annotator: Annotator) -> Response:
    if not row.outline:
        await workplace.ahead.sketch(row)
    name = annotator.name
    async with workplace.store.reading() as session:
        row = await session.get_one(SampleRow, row.id, populate_existing=True)
        options = await expressions.shown(session, row.id, name)
        turn = await turns.turn_of(session, row.id, name)
        answered = turn.answered if turn is not None else None
        chosen, own = await turns.chosen_by(session, row.id, name), ""
        if (kept := await drafts.find(session, row.id, name)) is not None:
            chosen, own = kept
        values: dict[str, Any] = {
            "back": await turns.neighbour(session, name, answered, later=False),
            "on": answered is not None,
            "progress": await samples.progress(session, workplace.places.wanted),
            "mine": await turns.count(session, name),
        }
    return page(
        request, "sample.html", sample=row, options=options, chosen=chosen, own=own, most=MOST_CHARACTERS, **values
    )


async def _answer(workplace: Workplace, row: SampleRow, annotator: Annotator, given: Fields) -> str:
    """Keeps an answer; where the annotator goes next."""
    async with workplace.store.begin() as session:
        turn = await workplace.places.claim(session, row, annotator.name)
        before = turn.answered
        chosen = [] if given.text("action") == SKIP else await _chosen(session, row, given)
        await turns.answer(session, row, turn, chosen, given.numbers("offered"))
        await drafts.drop(session, row.id, annotator.name)
        await expressions.hand_on(session, row, chosen)
        later = await turns.neighbour(session, annotator.name, before, later=True) if before is not None else None
    return f"{SAMPLES}{later}" if later else WORK


async def _chosen(session: AsyncSession, row: SampleRow, given: Fields) -> Sequence[Expression]:
    numbers = set(given.numbers("chosen"))
    chosen = await expressions.numbered(session, row.id, numbers)
    if len(chosen) < len(numbers):
        raise Problem("invalid_setting", "the sample has no such expression", field="chosen")
    if given.text("own").strip():
        chosen += await expressions.add(session, row.id, Source.OWN, [checked(given.text("own"), "own")])
    if not chosen:
        raise Problem("missing_field", "nothing is chosen", field="chosen", allowed="an expression, own words, or skip")
    return list({each.id: each for each in chosen}.values())


async def _row(session: AsyncSession, request: Request) -> SampleRow:
    row = await samples.find(session, _name(request))
    if row is None or row.position is None or row.trouble:
        raise Problem("not_found", "there is no such sample")
    return row


def _name(request: Request) -> str:
    return f"{request.path_params['subset']}/{request.path_params['file']}"
