"""What a run is asked to do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from concord_client.commands import UsageError
from concord_client.tasks import TASKS
from concord_client.tasks.fields import TensorField
from concord_client.tasks.request import Request

COLUMNS = ("image", "mask", "text", "id")
"""What is read of a Parquet table, and the names of the columns where no others are given."""
PICTURES = "images"
"""The folder of the output that the pictures are in."""


@dataclass(frozen=True)
class Order:
    """A run.

    Attributes:
        source: a folder of images, a Parquet file or a folder of them, as a path or a URL.
        target: the folder for the pictures and the table.
        task: its name.
        model: None for the server's default.
        settings: of the model, as written; None for a flag without a value.
        text: the same for every row.
        expressions: file of texts by image, see `concord_client.expressions`.
        masks: for a folder: a folder with a mask of the same stem for each, or a path with ``{stem}``.
        columns: of a Parquet table, by what is in them, of `COLUMNS`.
        again: whether rows that the server refused are asked again.
        url: of the server that every node asks; None for a Triton on each.
        timeout: seconds for one answer; None for what the model declares.
        repositories: of the models of these Tritons; none for those of the installation.
    """

    source: str
    target: str
    task: str
    model: str | None = None
    settings: Mapping[str, str | None] = field(default_factory=dict)
    text: str | None = None
    expressions: str | None = None
    masks: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    again: bool = False
    url: str | None = None
    timeout: float | None = None
    repositories: tuple[Path, ...] = ()

    @property
    def request(self) -> type[Request[Any]]:
        """The task's request.

        Raises:
            UsageError: there is no such task, or it goes through no images.
        """
        usable = {each.TASK: each for each in TASKS if any(field.kind == "image" for field in each.fields())}
        if self.task not in usable:
            raise UsageError(f"--task is {self.task!r}; allowed: {', '.join(usable)}")
        return usable[self.task]

    @property
    def picture(self) -> TensorField:
        """The field of the answer whose picture is written."""
        fields: tuple[TensorField, ...] = self.request.answer_type().fields()
        return next(each for each in fields if each.holds_images)

    @property
    def said(self) -> tuple[TensorField, ...]:
        """The fields of the answer that the table has."""
        return tuple(each for each in self.request.answer_type().fields() if not each.holds_images)
