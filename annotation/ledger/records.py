"""Answers of the ledger as records, and side by side where a sample has several."""

from collections import defaultdict

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from annotation.agreement import Answer
from annotation.ledger.tables import Chosen, Expression, SampleRow, Turn
from annotation.record import Annotation, Record, Skipped, Source


async def records(session: AsyncSession) -> list[Record]:
    """Every answer, by composite and annotator: a record for each expression, or one for a skipped sample."""
    rows = select(Turn, SampleRow.composite, Expression).join(SampleRow, SampleRow.id == Turn.sample_id)
    is_same = (Chosen.sample_id == Turn.sample_id) & (Chosen.annotator == Turn.annotator)
    rows = rows.outerjoin(Chosen, is_same).outerjoin(Expression, Expression.id == Chosen.expression_id)
    rows = rows.where(Turn.answered.is_not(None)).order_by(SampleRow.composite, Turn.annotator, Expression.id)
    found: list[Record] = []
    for turn, composite, each in (await session.execute(rows)).all():
        if each is None:
            found.append(Skipped(composite, turn.annotator))
        else:
            found.append(Annotation(composite, each.words, each.iou, Source(each.source), turn.annotator))
    return found


async def answers(session: AsyncSession) -> dict[str, list[Answer]]:
    """The answers to samples that have several, by their composites."""
    rows = select(Turn, SampleRow.composite).join(SampleRow).where(Turn.answered.is_not(None), SampleRow.answered > 1)
    chosen = defaultdict[tuple[int, str], set[int]](set)
    of_several = select(Chosen).join(SampleRow, SampleRow.id == Chosen.sample_id).where(SampleRow.answered > 1)
    for each in await session.scalars(of_several):
        chosen[each.sample_id, each.annotator].add(each.expression_id)
    found = defaultdict[str, list[Answer]](list)
    for turn, composite in (await session.execute(rows)).all():
        offered = frozenset(map(int, turn.offered.split()))
        of_turn = frozenset(chosen[turn.sample_id, turn.annotator])
        found[composite].append(Answer(turn.annotator, of_turn, offered))
    return found
