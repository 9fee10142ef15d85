"""Results that are kept."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "history"
down_revision = "accounts"
branch_labels = None
depends_on = None

_MYSQL: Any = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}
_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "kept_results",
        sa.Column("id", _NUMBER, nullable=False),
        sa.Column(
            "account_id",
            _NUMBER,
            sa.ForeignKey("accounts.id", name="fk_kept_results_account_id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("token", sa.String(32), nullable=False),
        sa.Column("secret", sa.String(64), nullable=False),
        sa.Column("ready", sa.Boolean, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("task", sa.String(64), nullable=False),
        sa.Column("model", sa.String(128), nullable=False),
        sa.Column("seed", sa.BigInteger, nullable=True),
        sa.Column("words", sa.Text, nullable=False),
        sa.Column("told", sa.Text, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_kept_results"),
        sa.UniqueConstraint("token", name="uq_kept_results_token"),
        **_MYSQL,
    )
    op.create_index("ix_kept_results_account_id", "kept_results", ["account_id"])
    op.create_index("ix_kept_results_expires", "kept_results", ["expires"])


def downgrade() -> None:
    op.drop_table("kept_results")
