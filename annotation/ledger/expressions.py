"""Expressions of samples in the ledger: suggestions, own ones, and what a segmenter reaches with them."""

from collections.abc import Collection, Iterable, Sequence

from sqlalchemy import or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from annotation.ledger.tables import Chosen, Expression, SampleRow
from annotation.record import Source
from annotation.wording import sameness


async def add(session: AsyncSession, number: int, source: Source, words: Iterable[str]) -> list[Expression]:
    """Has these words among a sample's; where the same is there already, that stays. Returns them in their order."""
    wanted = {sameness(each): each for each in reversed(list(words))}
    found = await _same(session, number, wanted)
    for same, each in reversed(wanted.items()):
        if same not in found:
            found[same] = await _added(session, Expression(sample_id=number, sameness=same, words=each, source=source))
    return [found[same] for same in reversed(wanted)]


async def _same(session: AsyncSession, number: int, wanted: Iterable[str]) -> dict[str, Expression]:
    rows = select(Expression).where(Expression.sample_id == number, Expression.sameness.in_(list(wanted)))
    return {each.sameness: each for each in await session.scalars(rows)}


async def _added(session: AsyncSession, expression: Expression) -> Expression:
    try:
        async with session.begin_nested():
            session.add(expression)
        return expression
    except IntegrityError:
        # Somebody else has just added the same.
        return (await _same(session, expression.sample_id, [expression.sameness]))[expression.sameness]


async def hand_on(session: AsyncSession, sample: SampleRow, chosen: Sequence[Expression]) -> None:
    """Suggests what was chosen for a composite to the other composites of its object."""
    others = select(SampleRow.id).where(SampleRow.object == sample.object, SampleRow.id != sample.id)
    for number in list(await session.scalars(others)):
        await add(session, number, Source.EARLIER, [each.words for each in chosen])


async def shown(session: AsyncSession, number: int, annotator: str) -> list[Expression]:
    """What an annotator sees of a sample, in the order of their making: suggestions, and own words that were chosen."""
    own = select(Chosen.expression_id).where(Chosen.sample_id == number, Chosen.annotator == annotator)
    rows = select(Expression).where(
        Expression.sample_id == number, or_(Expression.source != Source.OWN, Expression.id.in_(own))
    )
    return list(await session.scalars(rows.order_by(Expression.id)))


async def numbered(session: AsyncSession, number: int, wanted: Collection[int]) -> list[Expression]:
    """Those of a sample's expressions that have these numbers."""
    rows = select(Expression).where(Expression.sample_id == number, Expression.id.in_(list(wanted)))
    return list(await session.scalars(rows.order_by(Expression.id)))


async def untried(session: AsyncSession, limit: int) -> list[tuple[Expression, str]]:
    """Expressions that no segmenter was asked for, with their composites, in the order in which these are asked."""
    rows = select(Expression, SampleRow.composite).join(SampleRow)
    rows = rows.where(Expression.is_tried.is_(False), SampleRow.position.is_not(None), SampleRow.trouble == "")
    found = (await session.execute(rows.order_by(SampleRow.position, Expression.id).limit(limit))).all()
    return [(expression, composite) for expression, composite in found]


async def keep_iou(session: AsyncSession, number: int, iou: float | None) -> None:
    """What a segmenter reached with an expression; None if it cannot be asked this."""
    values = {"iou": iou, "is_tried": True}
    await session.execute(update(Expression).where(Expression.id == number).values(values))
