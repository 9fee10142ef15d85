"""Real databases for a store: SQLite in a file, and Debian's PostgreSQL and MariaDB on free ports of loopback."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from facade.store.address import file_url

PATIENCE = 60.0
NAME = "concord"


def _postgres() -> Path | None:
    """The folder of the newest one's programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: float(path.parts[-3]))
    return found[-1].parent if found else None


def _free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


class Database:
    """One in a folder; `url` is its address as the setting has it."""

    url: str

    def kill(self) -> None:
        """Ends it in the middle of what it does."""

    def start(self) -> None:
        """Starts it, or starts it again with what is on the disk."""

    def remove(self) -> None:
        """Ends it, and removes what it has written."""


class Sqlite(Database):
    """A file, which is always there."""

    def __init__(self, folder: Path) -> None:
        self.url = file_url(folder / "store.db")


class _Server(Database):
    """A program that listens; it refuses to run as root, so it is another user who owns its folder."""

    user: str

    def __init__(self, _folder: Path) -> None:
        # Those of pytest are for its own user alone.
        self._temporary = tempfile.TemporaryDirectory(prefix="concord-database-")
        self._folder = Path(self._temporary.name)
        self._port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._user = self.user if os.getuid() == 0 else None
        if self._user:
            shutil.chown(self._folder, self._user)
        self._make()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command(), user=self._user, **self._quiet())
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            assert self._process.poll() is None and time.monotonic() < deadline, self._log()
            time.sleep(0.05)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE)
            self._process = None

    def remove(self) -> None:
        self.kill()
        self._temporary.cleanup()

    def run(self, command: Sequence[object]) -> str:
        words = [str(word) for word in command]
        done = subprocess.run(
            words, user=self._user, cwd=self._folder, capture_output=True, text=True, timeout=PATIENCE
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _quiet(self) -> dict[str, object]:
        with (self._folder / "log").open("ab") as log:
            return {"cwd": self._folder, "stdout": os.dup(log.fileno()), "stderr": subprocess.STDOUT}

    def _log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")[-2000:]

    def _make(self) -> None:
        raise NotImplementedError

    def _command(self) -> list[str]:
        raise NotImplementedError

    def _answers(self) -> bool:
        raise NotImplementedError


class PostgreSQL(_Server):
    user = "postgres"

    def _make(self) -> None:
        programs = _postgres()
        assert programs is not None
        self._programs = programs
        self.url = f"postgresql://{NAME}@127.0.0.1:{self._port}/{NAME}"
        self.run([programs / "initdb", "-D", self._folder / "db", "-U", NAME, "-A", "trust", "-E", "UTF8", "--no-sync"])

    def _command(self) -> list[str]:
        flags = ["-D", self._folder / "db", "-p", self._port, "-h", "127.0.0.1", "-k", self._folder]
        return [str(word) for word in (self._programs / "postgres", *flags)]

    def _answers(self) -> bool:
        ready = [self._programs / "psql", "-h", "127.0.0.1", "-p", self._port, "-U", NAME, "-d", "postgres", "-Atc"]
        words = [str(word) for word in ready]
        told = subprocess.run(
            [*words, f"SELECT count(*) FROM pg_database WHERE datname = '{NAME}'"], capture_output=True, text=True
        )
        if told.returncode == 0 and told.stdout.strip() == "0":
            self.run([*words, f"CREATE DATABASE {NAME}"])
        return told.returncode == 0


class MariaDB(_Server):
    user = "mysql"

    def _make(self) -> None:
        self.url = f"mariadb://{NAME}:secret@127.0.0.1:{self._port}/{NAME}"
        words = ["mariadb-install-db", "--no-defaults", f"--datadir={self._folder / 'db'}"]
        # Without the user of no name, who would be taken for ours.
        self.run([*words, "--auth-root-authentication-method=normal", "--skip-test-db"])

    def _command(self) -> list[str]:
        begin = self._folder / "begin.sql"
        begin.write_text(
            f"CREATE DATABASE IF NOT EXISTS {NAME};\n"
            f"CREATE USER IF NOT EXISTS '{NAME}'@'%' IDENTIFIED BY 'secret';\nGRANT ALL ON {NAME}.* TO '{NAME}'@'%';\n"
        )
        begin.chmod(0o644)
        flags = {
            "datadir": self._folder / "db",
            "port": self._port,
            "bind-address": "127.0.0.1",
            "socket": self._folder / "socket",
            "pid-file": self._folder / "pid",
            "init-file": begin,
        }
        return ["/usr/sbin/mariadbd", "--no-defaults", *(f"--{name}={value}" for name, value in flags.items())]

    def _answers(self) -> bool:
        words = ["mariadb", "--no-defaults", "-h", "127.0.0.1", "-P", str(self._port), "-u", NAME, "-psecret", NAME]
        return subprocess.run([*words, "-e", "SELECT 1"], capture_output=True).returncode == 0


ALL = [
    Sqlite,
    pytest.param(
        PostgreSQL, marks=pytest.mark.skipif(not _postgres(), reason="there is no PostgreSQL: make databases")
    ),
    pytest.param(
        MariaDB,
        marks=pytest.mark.skipif(not Path("/usr/sbin/mariadbd").exists(), reason="there is no MariaDB: make databases"),
    ),
]
"""The kinds, for a fixture with `params`."""


def name(kind: type[Database]) -> str:
    """Of a kind, for a test's name."""
    return kind.__name__.lower()
