"""The samples of a data set in the ledger: which there are, what has been prepared of them, how far the work is."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import case, delete, func, insert, select, true, update
from sqlalchemy.ext.asyncio import AsyncSession

from annotation.iharmony4 import Sample
from annotation.ledger.tables import MOST_TROUBLE, SampleRow, Trouble

_AT_ONCE = 500


@dataclass(frozen=True)
class Progress:
    """Counts of samples.

    Attributes:
        total: those that are asked.
        done: of these, those that have as many answers as are wanted.
        prepared: of these, those that have suggestions.
        unusable: those that cannot be shown.
    """

    total: int
    done: int
    prepared: int
    unusable: int


async def register(session: AsyncSession, samples: Sequence[Sample], known: Collection[str]) -> None:
    """Takes over a data set in its order: new samples are added, those that are gone are no longer asked.

    `known` are composites whose answers are known: they are asked in the qualification, and not as samples.
    """
    rows = (await session.execute(select(SampleRow.composite, SampleRow.id, SampleRow.position))).all()
    before = {composite: (number, position) for composite, number, position in rows}
    order = {each.name: each for each in samples if each.name not in known}
    added: list[dict[str, Any]] = []
    moved: list[dict[str, Any]] = []
    for position, (name, sample) in enumerate(order.items()):
        if name not in before:
            added.append({"composite": name, "object": object_of(sample), "position": position})
        elif before[name][1] != position:
            moved.append({"id": before[name][0], "position": position})
    moved += [{"id": before[name][0], "position": None} for name in before.keys() - order.keys()]
    for start in range(0, len(added), _AT_ONCE):
        await session.execute(insert(SampleRow), added[start : start + _AT_ONCE])
    if moved:
        await session.execute(update(SampleRow), moved)


def object_of(sample: Sample) -> str:
    """What composites of the same object have in common: their sub-set and mask."""
    return f"{sample.subset}/{sample.mask.stem}"


async def find(session: AsyncSession, composite: str) -> SampleRow | None:
    """A sample by its composite's name."""
    found: SampleRow | None = await session.scalar(select(SampleRow).where(SampleRow.composite == composite))
    return found


async def progress(session: AsyncSession, wanted: int) -> Progress:
    """How far the work is, where so many annotators are wanted for each sample."""

    def count(condition: Any) -> Any:
        return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)

    asked = SampleRow.position.is_not(None) & (SampleRow.trouble == "")
    columns = (
        count(asked),
        count(asked & (SampleRow.answered >= wanted)),
        count(asked & (SampleRow.prepared == true())),
        count(SampleRow.position.is_not(None) & (SampleRow.trouble != "")),
    )
    # MySQL counts in decimal numbers.
    return Progress(*map(int, (await session.execute(select(*columns))).one()))


async def unprepared(session: AsyncSession, wanted: int, ahead: int, limit: int) -> list[SampleRow]:
    """The next samples without suggestions, at most so many positions ahead of the first that lacks an answer."""
    asked = SampleRow.position.is_not(None) & (SampleRow.trouble == "")
    first = await session.scalar(select(func.min(SampleRow.position)).where(asked, SampleRow.answered < wanted))
    if first is None:
        return []
    rows = select(SampleRow).where(asked, SampleRow.prepared.is_(False), SampleRow.position < first + ahead)
    return list(await session.scalars(rows.order_by(SampleRow.position).limit(limit)))


async def keep_outline(session: AsyncSession, number: int, outline: str, width: int, height: int) -> None:
    """What is drawn around the part of a sample."""
    values = {"outline": outline, "width": width, "height": height, "trouble": ""}
    await session.execute(update(SampleRow).where(SampleRow.id == number).values(values))


async def set_aside(session: AsyncSession, number: int, trouble: str) -> None:
    """A sample that cannot be shown is not asked, until the program is started again."""
    values = {"trouble": trouble[:MOST_TROUBLE]}
    await session.execute(update(SampleRow).where(SampleRow.id == number).values(values))


async def mark_prepared(session: AsyncSession, number: int, troubles: Sequence[Trouble]) -> None:
    """Suggestions have been made, as far as their sources went."""
    await session.execute(delete(Trouble).where(Trouble.sample_id == number))
    session.add_all(troubles)
    await session.execute(update(SampleRow).where(SampleRow.id == number).values({"prepared": True}))


async def try_again(session: AsyncSession) -> None:
    """Has what went wrong tried again: samples that could not be shown, and sources that gave no suggestion."""
    await session.execute(update(SampleRow).where(SampleRow.trouble != "").values({"trouble": ""}))
    again = select(Trouble.sample_id).distinct()
    await session.execute(update(SampleRow).where(SampleRow.id.in_(again)).values({"prepared": False}))


async def troubles(session: AsyncSession, limit: int) -> list[tuple[str, str]]:
    """What went wrong with samples: their composites, and the words; the first ones."""
    of_samples = select(SampleRow.composite, SampleRow.trouble).where(SampleRow.trouble != "").limit(limit)
    of_sources = select(SampleRow.composite, Trouble.words).join(Trouble).limit(limit)
    found = [*(await session.execute(of_samples)).all(), *(await session.execute(of_sources)).all()]
    return [(composite, words) for composite, words in found][:limit]
