"""Name and size of the machine, for reports."""

import platform
from pathlib import Path
from typing import Any

from concord.instruments.timing import THREADS


def machine() -> dict[str, Any]:
    """Processor, number of usable threads, and Python's version."""
    return {"processor": processor(), "threads": THREADS, "python": platform.python_version()}


def processor() -> str:
    """The processor's name in Linux."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
