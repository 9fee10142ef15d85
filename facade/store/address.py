"""Where a store is: a URL, the driver for it, and the folder of the default one."""

import os
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

SQLITE = "sqlite"
DRIVERS = {
    SQLITE: "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "mariadb": "mysql+aiomysql",
    "mysql": "mysql+aiomysql",
}
"""What SQLAlchemy calls a kind of database and its driver, by the scheme of a URL."""
EXAMPLES = "sqlite:////var/lib/concord/store.db or postgresql://USER:PASSWORD@HOST/NAME"


def state_folder() -> Path:
    """The user's folder for what programs keep."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "concord"


def file_url(path: Path) -> str:
    """The URL of a SQLite file."""
    return f"{SQLITE}:///{quote(str(path.absolute()))}"


def file_of(url: str) -> Path | None:
    """The SQLite file of a URL; None where it names a server."""
    scheme, _, path, *_ = urlsplit(url)
    return Path(unquote(path)[1:]) if scheme == SQLITE else None


def checked(url: str) -> str:
    """The URL.

    Raises:
        ValueError: it names no database that a store can be in; says nothing of it, since a password may be in it.
    """
    try:
        scheme, server, path, query, fragment = parts = urlsplit(url)
        usable = scheme in DRIVERS and len(path) > 1 and parts.port != 0 and not fragment and not query
        usable = usable and (not server and path[1:].strip("/") != "" if scheme == SQLITE else bool(parts.hostname))
    except ValueError:
        usable = False
    if not usable:
        allowed = ", ".join(DRIVERS)
        raise ValueError(f"it is no address of a database such as {EXAMPLES}; allowed: {allowed}") from None
    return url


def with_driver(url: str) -> str:
    """The URL as SQLAlchemy reads it."""
    scheme, _, rest = checked(url).partition(":")
    return f"{DRIVERS[scheme]}:{rest}"


def place(url: str) -> str:
    """Where it is, for a log or a message to whoever runs the server: without name and password."""
    scheme, _, path, *_ = parts = urlsplit(url)
    return (
        f"{scheme} at {parts.hostname}:{parts.port or 'its usual port'}{path}" if parts.hostname else f"{scheme} {path}"
    )
