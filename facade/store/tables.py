"""What all tables have in common; a table is declared in the room that it belongs to, as a class derived from `Table`.

Times are whole Unix seconds: the databases keep zones and fractions differently.
"""

import time
from typing import Annotated, Any

from sqlalchemy import BigInteger, Integer, MetaData, String
from sqlalchemy.orm import DeclarativeBase, mapped_column

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
"""Of keys and constraints, so that a migration can name them in every database."""

Number = Annotated[int, mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)]
"""A number that the database gives to a row; in SQLite, only an INTEGER is given one."""
Seconds = Annotated[int, mapped_column(BigInteger)]
Hash = Annotated[str, mapped_column(String(64))]
"""A SHA-256, in hexadecimal."""


OPTIONS = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}
"""Of every table, so that MySQL and MariaDB compare texts as the others do."""


class Table(DeclarativeBase):
    """The tables of the facade."""

    metadata = MetaData(naming_convention=NAMES)
    __table_args__: Any = OPTIONS


def now() -> int:
    """Unix seconds."""
    return int(time.time())
