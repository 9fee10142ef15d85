"""Triton's log, and what it says about a start that failed, in plain words."""

import os
import re
from pathlib import Path
from typing import BinaryIO

# The innermost cause comes first in the log; ensembles then repeat it for each model that they miss.
_CAUSES = (
    re.compile(r"failed to load '(?P<model>[^']+)' version \d+: [^:]+: (?P<problem>.*)\"$"),
    re.compile(r"Poll failed for model directory '(?P<model>[^']+)': (?P<problem>.*)\"$"),
)
_PYTHON_TRACE = re.compile(r"(\\n)+At:\\n.*$")
_EXCEPTION_NAME = re.compile(r"^[A-Za-z]+: ")
_ERROR_LINE = re.compile(r"^(?:E\d.*\] \"?|error: )(?P<problem>.*?)\"?$")
_HARMLESS = ("CudaDriverHelper", "unable to create stream", "failed to load all models")


def open_log(path: Path) -> BinaryIO:
    """The log, to be appended to; a new one can be read by this user only. Raises OSError."""
    return open(path, "ab", opener=lambda name, flags: os.open(name, flags, 0o600))


def reason_of_failure(log: str) -> str:
    """Why a start failed: each model that did not load with its cause, else Triton's last error, else its last line."""
    causes: dict[str, str] = {}
    for line in log.splitlines():
        for pattern in _CAUSES:
            found = pattern.search(line)
            if found:
                problem = _EXCEPTION_NAME.sub("", _PYTHON_TRACE.sub("", found["problem"]))
                causes.setdefault(found["model"], problem.replace("\\n", " "))
    if causes:
        return "; ".join(f"model '{model}': {problem}" for model, problem in causes.items())
    errors = [match["problem"] for match in map(_ERROR_LINE.match, log.splitlines()) if match]
    serious = [error for error in errors if not any(words in error for words in _HARMLESS)]
    lines = [line for line in log.splitlines() if line.strip()]
    return (serious or lines or ["tritonserver said nothing"])[-1]
