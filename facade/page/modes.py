"""What the page can be asked for: a mode for each task of which a model is served, and what a person gives for it."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from concord_client.tasks import TASKS
from concord_client.tasks.request import Request
from facade.page.languages import ENGLISH

Words: TypeAlias = Literal["part", "picture", "none"]
"""What a person says in words: which part is meant, what is to be seen, or nothing."""


@dataclass(frozen=True)
class Mode:
    """A task as people are asked for it; all that the page needs to know of it follows from its request."""

    request: type[Request[Any]]

    @property
    def name(self) -> str:
        """The task's."""
        return self.request.TASK

    @property
    def words(self) -> Words:
        """Words name the part where they may take the place of a mask, or only a mask is wanted."""
        if not self.takes("text"):
            return "part" if self.takes("mask") else "none"
        return "part" if ("text", "mask") in self.request.ONE_OF else "picture"

    @property
    def file(self) -> str:
        """Name, without its ending, of what is taken home."""
        [name] = (each.tensor.lower() for each in self.request.answer_type().fields() if each.name == "image")
        return str(name)

    def takes(self, field: str) -> bool:
        """Whether a request may have a field."""
        return any(each.name == field for each in self.request.fields())

    def needs(self, field: str) -> bool:
        """Whether every request has it."""
        return any(each.name == field and each.required for each in self.request.fields())


MODES = tuple(Mode(each) for each in TASKS if f"mode.{each.TASK}" in ENGLISH)
"""In the order in which they are offered; other tasks are means to these on the page."""


def served(tasks: Collection[str]) -> list[Mode]:
    """Those of which there are models, given the tasks of all models."""
    return [mode for mode in MODES if mode.name in tasks]


def mode_of(name: str | None, among: Collection[Mode] = MODES) -> Mode:
    """The mode of that name, or else the first of some."""
    return next((mode for mode in among if mode.name == name), next(iter(among), MODES[0]))
