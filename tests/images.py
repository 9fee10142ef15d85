"""The files of the repository that the images of `deploy/` are made of."""

import re
import shutil
from pathlib import Path

from concord.server.installation import ROOT

# What whoever works here has made, and a clone does not have.
_MADE = shutil.ignore_patterns(
    "__pycache__", "*.egg-info", "build", "model.plan*", "model.int8.*", "model.fp16.*", "tuned.*"
)


def copied(dockerfile: Path) -> list[str]:
    """What a Dockerfile copies, as paths from the root of the repository; not what one stage copies from another."""
    lines = re.findall(r"^COPY (?!--from=)(.*) \S+$", dockerfile.read_text(), re.MULTILINE)
    return [source for sources in lines for source in sources.split()]


def copy(name: str, folder: Path) -> None:
    """A file or folder of the repository as docker copies it: a file by its name, a folder with its path."""
    source = ROOT / name
    if source.is_dir():
        shutil.copytree(source, folder / name, ignore=_MADE)
    else:
        shutil.copy(source, folder)
