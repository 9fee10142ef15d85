"""The table of results that are kept; a row goes with its account, and with the row the key to its files."""

from typing import Any

from sqlalchemy import BigInteger, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from facade.accounts.tables import OwnerId
from facade.store.tables import OPTIONS, Hash, Number, Seconds, Table


class Kept(Table):
    """One result.

    Attributes:
        token: its public name, which says nothing.
        secret: what the names of its files and their encryption are made from, in hexadecimal.
        ready: whether all of its files are on the disk; before, it is nobody's result yet.
        size: bytes of its files.
        seed: with which the request has this answer again; None of a model that draws no noise.
        words: of the request; empty without any.
        told: the rest as JSON, see `facade.history.result`.
    """

    __tablename__ = "kept_results"
    __table_args__: Any = (UniqueConstraint("token"), OPTIONS)

    id: Mapped[Number]
    account_id: Mapped[OwnerId]
    token: Mapped[str] = mapped_column(String(32))
    secret: Mapped[Hash]
    ready: Mapped[bool]
    size: Mapped[int] = mapped_column(BigInteger)
    task: Mapped[str] = mapped_column(String(64))
    model: Mapped[str] = mapped_column(String(128))
    seed: Mapped[int | None] = mapped_column(BigInteger)
    words: Mapped[str] = mapped_column(Text)
    told: Mapped[str] = mapped_column(Text)
    created: Mapped[Seconds]
    expires: Mapped[Seconds] = mapped_column(index=True)
