"""The tables of accounts and of what belongs to them; what belongs to an account goes with it."""

from typing import Annotated, Any

from sqlalchemy import ForeignKey, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from facade.accounts.roles import Role
from facade.store.tables import OPTIONS, Hash, Number, Seconds, Table

OwnerId = Annotated[int, mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), index=True)]
"""The account that a row belongs to."""


class Account(Table):
    """Somebody who may sign in.

    Attributes:
        name: as it is written and shown, see `facade.accounts.names`.
        likeness: the same for all names that look alike.
        password: its hash, with the parameters it was made with.
        role: user, annotator or administrator.
        blocked: whether nobody is let in with it.
        limits: what it may do that is not as everybody's, as the words of the file of keys.
    """

    __tablename__ = "accounts"
    __table_args__: Any = OPTIONS | {"sqlite_autoincrement": True}  # so that no number comes again

    id: Mapped[Number]
    name: Mapped[str] = mapped_column(String(32), unique=True)
    likeness: Mapped[str] = mapped_column(String(64), unique=True)
    password: Mapped[str] = mapped_column(String(255))
    role: Mapped[Role] = mapped_column(String(16))
    blocked: Mapped[bool] = mapped_column(default=False)
    limits: Mapped[str] = mapped_column(Text, default="")
    created: Mapped[Seconds]


class Session(Table):
    """A browser that has signed in: the hash of what its cookie says."""

    __tablename__ = "sessions"

    hash: Mapped[Hash] = mapped_column(primary_key=True)
    account_id: Mapped[OwnerId]
    created: Mapped[Seconds]
    expires: Mapped[Seconds] = mapped_column(index=True)


class Key(Table):
    """An API key of an account: its hash, and the name that its owner gave it."""

    __tablename__ = "api_keys"
    __table_args__: Any = (UniqueConstraint("account_id", "name"), OPTIONS)

    id: Mapped[Number]
    account_id: Mapped[OwnerId]
    name: Mapped[str] = mapped_column(String(64))
    hash: Mapped[Hash] = mapped_column(unique=True)
    created: Mapped[Seconds]


class Invitation(Table):
    """What lets one person register: the hash of its code, and the role that the account gets."""

    __tablename__ = "invitations"

    id: Mapped[Number]
    hash: Mapped[Hash] = mapped_column(unique=True)
    role: Mapped[Role] = mapped_column(String(16))
    created: Mapped[Seconds]
    expires: Mapped[Seconds] = mapped_column(index=True)


class Usage(Table):
    """Pictures that an account has asked for on a day, which is counted from 1970-01-01 in UTC."""

    __tablename__ = "usage_by_day"

    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True)
    day: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    pictures: Mapped[int] = mapped_column(Integer)
