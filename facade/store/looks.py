"""Connections to SQLite, and the short way to ask it something.

The usual way goes from the event loop to a connection's thread and back for every step; this one goes once.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import Executable, create_engine, event

LOCKED_SECONDS = 5.0
"""How long a writer of SQLite waits for another."""
_PRAGMAS = (
    "PRAGMA journal_mode = WAL",  # readers go on while one writes
    "PRAGMA synchronous = FULL",  # what is committed is on the disk
    "PRAGMA foreign_keys = ON",
    f"PRAGMA busy_timeout = {int(1000 * LOCKED_SECONDS)}",
)
_THREADS = 2


class Looks:
    """Asks in threads of its own, outside transactions."""

    def __init__(self, url: str) -> None:
        self._engine = create_engine(url)
        event.listen(self._engine, "connect", prepare)
        self._threads = ThreadPoolExecutor(_THREADS, "looks")

    async def rows(self, wanted: Executable) -> Sequence[Any]:
        """What a question finds."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._rows, wanted)

    def close(self) -> None:
        self._threads.shutdown()
        self._engine.dispose()

    def _rows(self, wanted: Executable) -> Sequence[Any]:
        with self._engine.connect() as connection:
            return connection.execute(wanted).all()


def prepare(connection: Any, _record: object) -> None:
    """Of a new connection to SQLite; the driver would begin transactions at the first write."""
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(pragma)
    cursor.close()
