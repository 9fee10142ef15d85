"""What goes wrong with a store, as typed errors: of a database that is away, that is full, or that is newer."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, TimeoutError

from facade.problems import Problem

_FULL = ("database or disk is full", "no space left", "disk full", "is full")


class StoreAway(Problem):
    """The database does not answer, or cannot be written to: 503 `unavailable` for a caller."""

    def __init__(self) -> None:
        super().__init__("unavailable", "the database of this server does not answer")


class StoreFull(Problem):
    """The database has no room: 507 `no_room` for a caller."""

    def __init__(self) -> None:
        super().__init__("no_room", "the disk of the server's database is full")


class StoreError(Exception):
    """A store that cannot be opened as it is, in words for whoever runs the server."""


class NewerStore(StoreError):
    """A newer version of the program has changed the tables."""


@contextmanager
def typed(where: str) -> Iterator[None]:
    """Has errors of the database in the block raised as typed ones; what was wrong goes to the log.

    An `IntegrityError`, which is about what is written, stays as it is.

    Raises:
        StoreAway: it does not answer, or cannot be written to.
        StoreFull: it has no room.
    """
    try:
        yield
    except DBAPIError as error:
        if not isinstance(error, OperationalError | InterfaceError) and not error.connection_invalidated:
            raise
        raise translated(error, where) from error
    except (TimeoutError, ConnectionError) as error:
        raise translated(error, where) from error


def translated(error: BaseException, where: str) -> Problem:
    """What a caller is told of an error of the database, which goes to the log."""
    cause = getattr(error, "orig", None) or error
    structlog.get_logger("facade.store").warning(
        "the database cannot be used", store=where, error=type(cause).__name__, words=str(cause)[:200]
    )
    is_full = getattr(cause, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
    is_full = is_full or any(words in str(cause).lower() for words in _FULL)
    return StoreFull() if is_full else StoreAway()
