"""The gates of pipelines' parts, as the pipelines' configurations keep them: the parameters `gate.ROLE`."""

import re
from dataclasses import dataclass
from pathlib import Path

from concord.server.declared import catalogue
from concord_client.atomic_file import write_atomically
from concord_client.catalogue import GATE, Part

NOT_MADE = "not made"
REPLACED = ("encoder", "decoder")
"""Roles that a part with a gate can have the place of; its own role ends so."""


@dataclass(frozen=True)
class Gate:
    """A part that some pipelines run in the place of their own encoder or decoder, if it has passed."""

    part: Part
    encoder: str
    decoder: str

    @property
    def models(self) -> tuple[str, ...]:
        """What it was made with: its networks, by name."""
        return tuple(dict.fromkeys((self.part.model, self.encoder, self.decoder)))

    @property
    def place(self) -> str:
        """One of `REPLACED`."""
        return next(role for role in REPLACED if self.part.role.endswith(role))


def gates(ensembles: Path) -> dict[Gate, list[str]]:
    """Every gate there is, and the names of the pipelines that have it."""
    found: dict[Gate, list[str]] = {}
    for pipeline in catalogue([ensembles], missing=()).pipelines:
        for _, part in sorted(pipeline.parts.items()):
            if part.gate is not None:
                gate = Gate(part, *(pipeline.parts[role].model for role in REPLACED))
                found.setdefault(gate, []).append(pipeline.name)
    return found


def write(ensembles: Path, gate: Gate, pipelines: list[str], words: str) -> None:
    """Put into the pipelines what a gate found; their comments stay. It begins with `PASSED` or not."""
    key = re.escape(f"{GATE}{gate.part.role}")
    for path in (ensembles / name / "config.pbtxt" for name in pipelines):
        text, count = re.subn(rf'("{key}" value {{ string_value: )"[^"]*"', rf'\g<1>"{words}"', path.read_text())
        assert count == 1
        write_atomically(path, text.encode())


def withdraw(ensembles: Path, model: str) -> None:
    """Forget what the gates found that another network of this name was a part of."""
    for gate, pipelines in gates(ensembles).items():
        if model in gate.models and gate.part.gate != NOT_MADE:
            write(ensembles, gate, pipelines, NOT_MADE)
