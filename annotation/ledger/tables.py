"""The tables of the ledger. Names of annotators stand in them as they are; nothing else is known of a person."""

from typing import Annotated, Any

from sqlalchemy import BigInteger, Boolean, Float, ForeignKey, Integer, MetaData, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from annotation.wording import MOST_CHARACTERS
from facade.store.tables import NAMES, OPTIONS, Hash, Number, Seconds

MOST_NAME = 64
"""Characters of an annotator's name."""
MOST_PATH = 255
"""Of a composite's."""
MOST_TROUBLE = 200

Name = Annotated[str, mapped_column(String(MOST_NAME))]
SampleId = Annotated[int, mapped_column(ForeignKey("samples.id", ondelete="CASCADE"))]


class Table(DeclarativeBase):
    """The tables of the ledger."""

    metadata = MetaData(naming_convention=NAMES)
    __table_args__: Any = OPTIONS


class SampleRow(Table):
    """A composite of the data set.

    Attributes:
        object: what composites of the same object have in common, such as ``HCOCO/c1_2``.
        position: its place in the order in which samples are asked; None if it is not asked.
        answered: by how many annotators.
        prepared: whether suggestions have been made.
        outline, width, height: the SVG path around its part, and the size that it is for.
        trouble: why it cannot be shown; empty if it can.
    """

    __tablename__ = "samples"

    id: Mapped[Number]
    composite: Mapped[str] = mapped_column(String(MOST_PATH), unique=True)
    object: Mapped[str] = mapped_column(String(MOST_PATH), index=True)
    position: Mapped[int | None] = mapped_column(Integer, index=True)
    answered: Mapped[int] = mapped_column(Integer, default=0)
    prepared: Mapped[bool] = mapped_column(Boolean, default=False)
    outline: Mapped[str] = mapped_column(Text, default="")
    width: Mapped[int] = mapped_column(Integer, default=0)
    height: Mapped[int] = mapped_column(Integer, default=0)
    trouble: Mapped[str] = mapped_column(String(MOST_TROUBLE), default="")


class Expression(Table):
    """Words for a sample, suggested or an annotator's own; what is the same stands once.

    Attributes:
        iou: what a segmenter reaches with them; None where that is not known.
        is_tried: whether a segmenter was asked.
    """

    __tablename__ = "expressions"
    __table_args__ = (UniqueConstraint("sample_id", "sameness"), OPTIONS)

    id: Mapped[Number]
    sample_id: Mapped[SampleId]
    sameness: Mapped[Hash]
    words: Mapped[str] = mapped_column(String(MOST_CHARACTERS))
    source: Mapped[str] = mapped_column(String(16))
    iou: Mapped[float | None] = mapped_column(Float)
    is_tried: Mapped[bool] = mapped_column(Boolean, default=False, index=True)


class Trouble(Table):
    """What a source of suggestions had with a sample."""

    __tablename__ = "troubles"

    sample_id: Mapped[SampleId] = mapped_column(primary_key=True)
    source: Mapped[str] = mapped_column(String(MOST_PATH), primary_key=True)
    code: Mapped[str] = mapped_column(String(32))
    words: Mapped[str] = mapped_column(String(MOST_TROUBLE))


class Turn(Table):
    """One of the places that a sample has for annotators: a claim until a time, or an answer.

    Attributes:
        answered: when, in nanoseconds, so that the order is known; None for a claim.
        skipped: whether the answer is that no expression fits.
        offered: the numbers of the expressions that the annotator saw, separated by blanks.
    """

    __tablename__ = "turns"
    __table_args__ = (UniqueConstraint("sample_id", "annotator"), OPTIONS)

    sample_id: Mapped[SampleId] = mapped_column(primary_key=True)
    slot: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    annotator: Mapped[Name] = mapped_column(index=True)
    until: Mapped[Seconds]
    answered: Mapped[int | None] = mapped_column(BigInteger)
    skipped: Mapped[bool] = mapped_column(Boolean, default=False)
    offered: Mapped[str] = mapped_column(Text, default="")


class Chosen(Table):
    """An expression of an answer."""

    __tablename__ = "chosen"

    sample_id: Mapped[SampleId] = mapped_column(primary_key=True)
    annotator: Mapped[Name] = mapped_column(primary_key=True)
    expression_id: Mapped[int] = mapped_column(ForeignKey("expressions.id", ondelete="CASCADE"), primary_key=True)


class Draft(Table):
    """What an annotator has chosen and typed, and not yet sent."""

    __tablename__ = "drafts"

    sample_id: Mapped[SampleId] = mapped_column(primary_key=True)
    annotator: Mapped[Name] = mapped_column(primary_key=True)
    chosen: Mapped[str] = mapped_column(Text, default="")
    own: Mapped[str] = mapped_column(String(MOST_CHARACTERS), default="")


class Annotator(Table):
    """Somebody who annotates.

    Attributes:
        guided: whether the guide was read to its end.
        qualified: whether the qualification was passed.
        attempt: at the qualification, from 1.
    """

    __tablename__ = "annotators"

    name: Mapped[Name] = mapped_column(primary_key=True)
    guided: Mapped[bool] = mapped_column(Boolean, default=False)
    qualified: Mapped[bool] = mapped_column(Boolean, default=False)
    attempt: Mapped[int] = mapped_column(Integer, default=1)


class Trial(Table):
    """An answer to a question of the qualification."""

    __tablename__ = "trials"

    annotator: Mapped[Name] = mapped_column(primary_key=True)
    attempt: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    composite: Mapped[str] = mapped_column(String(MOST_PATH), primary_key=True)
    is_right: Mapped[bool] = mapped_column(Boolean)


class Visit(Table):
    """A browser that has signed in: hashes of what its cookie says, and of the key it came with, if keys are wanted."""

    __tablename__ = "visits"

    hash: Mapped[Hash] = mapped_column(primary_key=True)
    annotator: Mapped[Name]
    key: Mapped[str] = mapped_column(String(64), default="")
    expires: Mapped[Seconds] = mapped_column(index=True)
