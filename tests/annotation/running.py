"""``concord annotate`` in a process of its own."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 60.0


@dataclass(frozen=True)
class Annotating:
    """The process, and the address of its page."""

    process: subprocess.Popen[str]
    url: str

    def kill(self) -> None:
        """As kill -9 does."""
        self.process.kill()
        self.process.wait(PATIENCE)


@contextmanager
def annotating(folder: Path, *flags: str, port: int = 0) -> Iterator[Annotating]:
    """The page of a data set without a segmenter; ended by a signal, if it lives at the end of the block."""
    command = (sys.executable, "-m", "annotation.command", "--dataset", folder, "--no-confidence", "--port", str(port))
    process = subprocess.Popen([*command, *flags], stderr=subprocess.PIPE, text=True, env=os.environ)
    assert process.stderr is not None
    try:
        words = ""
        while not (found := re.search(r"the page is at (http://\S+)", words)):
            line = process.stderr.readline()
            assert line, words
            words += line
        yield Annotating(process, found[1])
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)
