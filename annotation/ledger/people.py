"""Annotators in the ledger: their visits, whether they know the guide, and how they did in the qualification."""

import secrets

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from annotation.ledger.tables import Annotator, Trial, Visit
from facade.access.keys import hash_of
from facade.store.tables import now

VISIT_SECONDS = 30 * 24 * 60 * 60


async def enter(session: AsyncSession, name: str, key: str = "") -> str:
    """A visit of an annotator, who may be new; what the browser's cookie is to say. `key` is the hash of its key."""
    await known(session, name)
    token = secrets.token_urlsafe(32)
    await session.execute(delete(Visit).where(Visit.expires <= now()))
    session.add(Visit(hash=hash_of(token), annotator=name, key=key, expires=now() + VISIT_SECONDS))
    return token


async def known(session: AsyncSession, name: str) -> Annotator:
    """An annotator, who may be new."""
    if (found := await session.get(Annotator, name)) is None:
        session.add(found := Annotator(name=name, guided=False, qualified=False, attempt=1))
    return found


async def visitor(session: AsyncSession, token: str) -> tuple[Annotator, str] | None:
    """Whose cookie it is, and the hash of the key of the visit; None if it is not known, or too old."""
    rows = select(Annotator, Visit.key).join(Visit, Visit.annotator == Annotator.name)
    found = (await session.execute(rows.where(Visit.hash == hash_of(token), Visit.expires > now()))).first()
    return None if found is None else (found[0], found[1])


async def leave(session: AsyncSession, token: str) -> None:
    """Forgets a visit."""
    await session.execute(delete(Visit).where(Visit.hash == hash_of(token)))


async def mark_guided(session: AsyncSession, name: str) -> None:
    """The annotator has read the guide."""
    await session.execute(update(Annotator).where(Annotator.name == name).values({"guided": True}))


async def mark_qualified(session: AsyncSession, name: str) -> None:
    """The annotator has passed the qualification."""
    await session.execute(update(Annotator).where(Annotator.name == name).values({"qualified": True}))


async def try_again(session: AsyncSession, name: str, attempt: int) -> None:
    """The annotator's next attempt at the qualification, which is the one after this."""
    rows = update(Annotator).where(Annotator.name == name, Annotator.attempt == attempt)
    await session.execute(rows.values({"attempt": attempt + 1}))


async def trials(session: AsyncSession, name: str, attempt: int) -> dict[str, bool]:
    """Whether the answers of an attempt are right, by their composites."""
    rows = select(Trial).where(Trial.annotator == name, Trial.attempt == attempt)
    return {each.composite: each.is_right for each in await session.scalars(rows)}


async def keep_trial(session: AsyncSession, name: str, attempt: int, composite: str, *, is_right: bool) -> None:
    """An answer to a question; the first one counts."""
    if await session.get(Trial, (name, attempt, composite)) is None:
        session.add(Trial(annotator=name, attempt=attempt, composite=composite, is_right=is_right))
