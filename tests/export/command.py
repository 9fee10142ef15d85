"""`python -m export`, run in the process of the tests: another one would import torch again, for seconds."""

from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO

from export.__main__ import main


@dataclass(frozen=True)
class Finished:
    """How a command ended, and what it printed."""

    returncode: int
    stdout: str
    stderr: str


def export(*arguments: object) -> Finished:
    """Runs the command, for example ``export("cris", "--checkpoint", path)``."""
    with redirect_stdout(StringIO()) as stdout, redirect_stderr(StringIO()) as stderr:
        try:
            code = main(list(map(str, arguments)))
        except SystemExit as end:
            code = int(end.code or 0)
    return Finished(code, stdout.getvalue(), stderr.getvalue())
