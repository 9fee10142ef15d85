"""A command run in the process of the tests: another one would import everything again, for a second or for many."""

import signal
from collections.abc import Callable, Sequence
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import BytesIO, TextIOWrapper
from pathlib import Path


@dataclass(frozen=True)
class Finished:
    """How a command ended, and what it printed."""

    returncode: int
    stdout: str
    stderr: str


def run(main: Callable[[Sequence[str]], int], *arguments: object, cwd: Path | None = None) -> Finished:
    """Runs a command as its process would, for example ``run(main, "cris", "--checkpoint", path)``.

    Afterwards signals do what they did before.

    Raises:
        Exception: what the command would have ended with, with a traceback.
    """
    handlers = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    out, err = (
        TextIOWrapper(BytesIO(), "utf-8", errors, write_through=True) for errors in ("strict", "backslashreplace")
    )
    try:
        with chdir(cwd or Path.cwd()), redirect_stdout(out), redirect_stderr(err):
            code = main([str(each) for each in arguments])
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        for each, handler in handlers.items():
            signal.signal(each, handler)
    stdout, stderr = (each.buffer.getvalue().decode("utf-8", "surrogateescape") for each in (out, err))
    return Finished(code, stdout, stderr)
