"""Samples, their expressions, turns, drafts and annotators."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "first"
down_revision = None
branch_labels = None
depends_on = None

_MYSQL: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}
_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "samples",
        sa.Column("id", _NUMBER, nullable=False),
        sa.Column("composite", sa.String(255), nullable=False),
        sa.Column("object", sa.String(255), nullable=False),
        sa.Column("position", sa.Integer),
        sa.Column("answered", sa.Integer, nullable=False),
        sa.Column("prepared", sa.Boolean, nullable=False),
        sa.Column("outline", sa.Text, nullable=False),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("trouble", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_samples"),
        sa.UniqueConstraint("composite", name="uq_samples_composite"),
        **_MYSQL,
    )
    op.create_table(
        "expressions",
        sa.Column("id", _NUMBER, nullable=False),
        _sample("expressions"),
        sa.Column("sameness", sa.String(64), nullable=False),
        sa.Column("words", sa.String(200), nullable=False),
        sa.Column("source", sa.String(16), nullable=False),
        sa.Column("iou", sa.Float),
        sa.Column("is_tried", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_expressions"),
        sa.UniqueConstraint("sample_id", "sameness", name="uq_expressions_sample_id_sameness"),
        **_MYSQL,
    )
    op.create_table(
        "troubles",
        _sample("troubles"),
        sa.Column("source", sa.String(255), nullable=False),
        sa.Column("code", sa.String(32), nullable=False),
        sa.Column("words", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("sample_id", "source", name="pk_troubles"),
        **_MYSQL,
    )
    op.create_table(
        "turns",
        _sample("turns"),
        sa.Column("slot", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("annotator", sa.String(64), nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.Column("answered", sa.BigInteger),
        sa.Column("skipped", sa.Boolean, nullable=False),
        sa.Column("offered", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("sample_id", "slot", name="pk_turns"),
        sa.UniqueConstraint("sample_id", "annotator", name="uq_turns_sample_id_annotator"),
        **_MYSQL,
    )
    op.create_table(
        "chosen",
        _sample("chosen"),
        sa.Column("annotator", sa.String(64), nullable=False),
        sa.Column("expression_id", _NUMBER, nullable=False),
        sa.ForeignKeyConstraint(
            ["expression_id"], ["expressions.id"], name="fk_chosen_expression_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("sample_id", "annotator", "expression_id", name="pk_chosen"),
        **_MYSQL,
    )
    op.create_table(
        "drafts",
        _sample("drafts"),
        sa.Column("annotator", sa.String(64), nullable=False),
        sa.Column("chosen", sa.Text, nullable=False),
        sa.Column("own", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("sample_id", "annotator", name="pk_drafts"),
        **_MYSQL,
    )
    op.create_table(
        "annotators",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("guided", sa.Boolean, nullable=False),
        sa.Column("qualified", sa.Boolean, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_annotators"),
        **_MYSQL,
    )
    op.create_table(
        "trials",
        sa.Column("annotator", sa.String(64), nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("composite", sa.String(255), nullable=False),
        sa.Column("is_right", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("annotator", "attempt", "composite", name="pk_trials"),
        **_MYSQL,
    )
    op.create_table(
        "visits",
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("annotator", sa.String(64), nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("hash", name="pk_visits"),
        **_MYSQL,
    )
    for table, column in _INDEXED:
        op.create_index(f"ix_{table}_{column}", table, [column])


def downgrade() -> None:
    for table in _TABLES:
        op.drop_table(table)


_TABLES = ("visits", "trials", "annotators", "drafts", "chosen", "turns", "troubles", "expressions", "samples")
_INDEXED = (
    ("samples", "object"),
    ("samples", "position"),
    ("expressions", "is_tried"),
    ("turns", "annotator"),
    ("visits", "expires"),
)


def _sample(table: str) -> sa.Column[int]:
    goes_with_it = sa.ForeignKey("samples.id", name=f"fk_{table}_sample_id", ondelete="CASCADE")
    return sa.Column("sample_id", _NUMBER, goes_with_it, nullable=False)
