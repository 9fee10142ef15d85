"""Accounts, sessions, keys, invitations, and the pictures of a day."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "accounts"
down_revision = None
branch_labels = None
depends_on = None

_MYSQL: Any = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}
_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", _NUMBER, nullable=False),
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("likeness", sa.String(64), nullable=False),
        sa.Column("password", sa.String(255), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("blocked", sa.Boolean, nullable=False),
        sa.Column("limits", sa.Text, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_accounts"),
        sa.UniqueConstraint("name", name="uq_accounts_name"),
        sa.UniqueConstraint("likeness", name="uq_accounts_likeness"),
        sqlite_autoincrement=True,
        **_MYSQL,
    )
    op.create_table(
        "sessions",
        sa.Column("hash", sa.String(64), nullable=False),
        _owner("sessions"),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("hash", name="pk_sessions"),
        **_MYSQL,
    )
    op.create_table(
        "api_keys",
        sa.Column("id", _NUMBER, nullable=False),
        _owner("api_keys"),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.UniqueConstraint("account_id", "name", name="uq_api_keys_account_id_name"),
        sa.UniqueConstraint("hash", name="uq_api_keys_hash"),
        **_MYSQL,
    )
    op.create_table(
        "invitations",
        sa.Column("id", _NUMBER, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_invitations"),
        sa.UniqueConstraint("hash", name="uq_invitations_hash"),
        **_MYSQL,
    )
    op.create_table(
        "usage_by_day",
        _owner("usage_by_day"),
        sa.Column("day", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("pictures", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "day", name="pk_usage_by_day"),
        **_MYSQL,
    )
    op.create_index("ix_sessions_account_id", "sessions", ["account_id"])
    op.create_index("ix_sessions_expires", "sessions", ["expires"])
    op.create_index("ix_api_keys_account_id", "api_keys", ["account_id"])
    op.create_index("ix_invitations_expires", "invitations", ["expires"])


def downgrade() -> None:
    for table in ("usage_by_day", "invitations", "api_keys", "sessions", "accounts"):
        op.drop_table(table)


def _owner(table: str) -> sa.Column[int]:
    goes_with_it = sa.ForeignKey("accounts.id", name=f"fk_{table}_account_id", ondelete="CASCADE")
    return sa.Column("account_id", _NUMBER, goes_with_it, nullable=False)
