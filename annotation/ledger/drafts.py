"""What annotators have chosen and typed and not yet sent, so that a browser that dies takes nothing with it."""

from collections.abc import Collection

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from annotation.ledger.tables import Draft


async def keep(session: AsyncSession, number: int, annotator: str, chosen: Collection[int], own: str) -> None:
    """Keeps a draft in place of an earlier one of the same annotator and sample."""
    numbers = " ".join(map(str, sorted(chosen)))
    await session.merge(Draft(sample_id=number, annotator=annotator, chosen=numbers, own=own))


async def find(session: AsyncSession, number: int, annotator: str) -> tuple[set[int], str] | None:
    """The numbers of the chosen expressions, and what was typed; None without a draft."""
    draft = await session.get(Draft, (number, annotator))
    return None if draft is None else ({int(each) for each in draft.chosen.split()}, draft.own)


async def drop(session: AsyncSession, number: int, annotator: str) -> None:
    """Forgets it, since it was sent."""
    await session.execute(delete(Draft).where(Draft.sample_id == number, Draft.annotator == annotator))
