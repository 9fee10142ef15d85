"""Whose turn a sample is: claims, which expire, and answers, which stay.

A sample has as many places as annotators are wanted for it. Of two who want the last place, the
database lets one have it.
"""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, delete, exists, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from annotation.ledger.tables import Chosen, Expression, SampleRow, Turn
from facade.problems import Problem
from facade.store.store import changed
from facade.store.tables import now

_TRIES = 8


@dataclass(frozen=True)
class Places:
    """How many annotators each sample is for, and for how many seconds one may have it without an answer."""

    wanted: int = 1
    seconds: int = 900

    async def next(self, session: AsyncSession, annotator: str) -> SampleRow | None:
        """A sample that is now the annotator's: the one that is already, or the next with a place; None if none has."""
        mine = select(SampleRow).join(Turn).where(Turn.annotator == annotator, Turn.answered.is_(None))
        mine = mine.where(Turn.until > now(), SampleRow.position.is_not(None), SampleRow.trouble == "")
        sample: SampleRow | None = await session.scalar(mine.order_by(SampleRow.position).limit(1))
        for _ in range(_TRIES):
            sample = sample or await session.scalar(self._open(annotator))
            if sample is None:
                return None
            try:
                await self.claim(session, sample, annotator)
                return sample
            except Problem:
                sample = None
        return None

    async def claim(self, session: AsyncSession, sample: SampleRow, annotator: str) -> Turn:
        """The annotator's place at a sample, for as long as from now on.

        Raises:
            Problem: `sample_taken`: others have all of its places.
        """
        turns = {each.slot: each for each in await session.scalars(select(Turn).where(Turn.sample_id == sample.id))}
        until = now() + self.seconds
        for turn in turns.values():
            if turn.annotator == annotator:
                turn.until = until
                return turn
        for turn in turns.values():
            if turn.answered is None and turn.until <= now():
                same = (Turn.sample_id == sample.id, Turn.slot == turn.slot, Turn.until == turn.until)
                taken = update(Turn).where(*same, Turn.annotator == turn.annotator, Turn.answered.is_(None))
                taken = taken.values({"annotator": annotator, "until": until})
                if await changed(session, taken):
                    await session.refresh(turn)
                    return turn
        for slot in range(self.wanted):
            if slot not in turns:
                turn = Turn(sample_id=sample.id, slot=slot, annotator=annotator, until=until)
                try:
                    async with session.begin_nested():
                        session.add(turn)
                    return turn
                except IntegrityError:
                    continue
        raise Problem("sample_taken", "others have the sample, or have answered it", field="composite")

    def _open(self, annotator: str) -> Select[SampleRow]:
        """The first sample that has a place for the annotator, who has not answered it."""
        of_sample = Turn.sample_id == SampleRow.id
        others = select(func.count()).where(of_sample, Turn.annotator != annotator, _is_held()).scalar_subquery()
        mine = exists().where(of_sample, Turn.annotator == annotator, Turn.answered.is_not(None))
        rows = select(SampleRow).where(SampleRow.position.is_not(None), SampleRow.trouble == "")
        rows = rows.where(SampleRow.answered < self.wanted, ~mine, others < self.wanted)
        return rows.order_by(SampleRow.position).limit(1)


def _is_held() -> ColumnElement[bool]:
    return Turn.answered.is_not(None) | (Turn.until > now())


async def answer(
    session: AsyncSession, sample: SampleRow, turn: Turn, chosen: Sequence[Expression], offered: Collection[int]
) -> None:
    """An answer to a sample, in place of an earlier one by the same annotator; without an expression, it is skipped."""
    if turn.answered is None:
        turn.answered = time.time_ns()
        await session.execute(
            update(SampleRow).where(SampleRow.id == sample.id).values({"answered": SampleRow.answered + 1})
        )
    turn.skipped = not chosen
    turn.offered = " ".join(map(str, sorted(offered)))
    await session.execute(delete(Chosen).where(Chosen.sample_id == sample.id, Chosen.annotator == turn.annotator))
    session.add_all(Chosen(sample_id=sample.id, annotator=turn.annotator, expression_id=each.id) for each in chosen)


async def turn_of(session: AsyncSession, number: int, annotator: str) -> Turn | None:
    """An annotator's claim or answer of a sample."""
    found: Turn | None = await session.scalar(select(Turn).where(Turn.sample_id == number, Turn.annotator == annotator))
    return found


async def neighbour(session: AsyncSession, annotator: str, answered: int | None, *, later: bool) -> str | None:
    """The composite that an annotator answered just before a time, or after it; None stands for now."""
    rows = select(SampleRow.composite).join(Turn).where(Turn.annotator == annotator, Turn.answered.is_not(None))
    if answered is not None:
        rows = rows.where(Turn.answered > answered if later else Turn.answered < answered)
    elif later:
        return None
    order = Turn.answered.asc() if later else Turn.answered.desc()
    found: str | None = await session.scalar(rows.order_by(order).limit(1))
    return found


async def count(session: AsyncSession, annotator: str) -> int:
    """How many samples an annotator has answered."""
    rows = select(func.count()).where(Turn.annotator == annotator, Turn.answered.is_not(None))
    return await session.scalar(rows) or 0


async def chosen_by(session: AsyncSession, number: int, annotator: str) -> set[int]:
    """The numbers of the expressions that an annotator has answered with."""
    rows = select(Chosen.expression_id).where(Chosen.sample_id == number, Chosen.annotator == annotator)
    return set(await session.scalars(rows))
