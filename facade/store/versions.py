"""The versions of a store's tables, and the migrations between them, by Alembic."""

from collections.abc import Iterable
from importlib.resources import files
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, text

from facade.store.errors import NewerStore, StoreError

HEAD, NOTHING = "head", "base"
_LOCKS = {"postgresql": "SELECT pg_advisory_xact_lock(7236)", "mysql": "SELECT GET_LOCK('concord', 60)"}
_UNLOCKS = {"mysql": "SELECT RELEASE_LOCK('concord')"}
"""So that of several that open a new store, one makes the tables. SQLite has one writer at a time anyway."""


class Versions:
    """The migrations of a package: each file of it is one."""

    def __init__(self, package: str) -> None:
        """The package can be imported and lies in a folder."""
        self._folder = str(files(package))
        self._script = ScriptDirectory(self._folder, version_locations=[self._folder])

    @property
    def head(self) -> str:
        """The newest one."""
        return self._script.get_current_head() or ""

    def all(self) -> list[str]:
        """From the oldest to the newest."""
        return [each.revision for each in self._script.walk_revisions()][::-1]

    def current(self, connection: Connection) -> str:
        """That of a store; empty if it has no tables."""
        return MigrationContext.configure(connection).get_current_revision() or ""

    def check(self, connection: Connection) -> str:
        """That of a store.

        Raises:
            NewerStore: it is none of the package's.
        """
        found = self.current(connection)
        if found and found not in self.all():
            raise NewerStore(
                f"the store has version {found[:40]!r}, which this program does not know: a newer one has changed it; "
                f"allowed: up to {self.head}. Install the newer program, or have it downgrade the store first"
            )
        return found

    def migrate(self, connection: Connection, to: str = HEAD) -> None:
        """Takes a store up or down to a version; all or nothing, but in MySQL and MariaDB, where a step is.

        Raises:
            NewerStore: it has a version that is not known.
            StoreError: the target is not known.
        """
        if to not in (HEAD, NOTHING, *self.all()):
            raise StoreError(f"{to[:40]!r} is no version; allowed: {HEAD}, {NOTHING}, {', '.join(self.all())}")
        self._run(connection, _LOCKS)
        try:
            found = self.check(connection)
            if to == HEAD and found == self.head:
                return
            goes_up = to == HEAD or (to != NOTHING and self._rank(to) >= self._rank(found))

            def steps(revision: Any, _context: MigrationContext) -> Iterable[Any]:
                move = self._script._upgrade_revs if goes_up else self._script._downgrade_revs
                return move(to, revision)

            with EnvironmentContext(Config(), self._script, fn=steps, destination_rev=to) as environment:
                environment.configure(connection=connection, transactional_ddl=connection.dialect.name != "mysql")
                environment.run_migrations()
        except CommandError as error:
            raise StoreError(f"the store's version cannot be changed: {error}") from error
        finally:
            self._run(connection, _UNLOCKS)

    def _rank(self, version: str) -> int:
        return self.all().index(version) if version else -1

    def _run(self, connection: Connection, statements: dict[str, str]) -> None:
        if connection.dialect.name in statements:
            connection.execute(text(statements[connection.dialect.name]))
