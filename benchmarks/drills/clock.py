"""A clock of the day that jumps, for the process of `concord serve`; deadlines, queues and health go on as they were.

The clock is libfaketime's, which stands before the C library's. Triton keeps the real one: it waits in ways that this
library does not know, and would find every lock late.
"""

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.drills.hardship import Hardship, endured, harmonize, hashed
from benchmarks.drills.kills import pipelines
from benchmarks.drills.service import serving, shared_mib
from benchmarks.load.generator import generator
from concord.server.declared import catalogue
from concord.server.installation import MODEL_REPOSITORIES

SECONDS = 20.0
JUMPS = {"the clock jumps a day on, and back": "+1d", "the clock jumps a day back, and on": "-1d"}
NONE = "+0"
AN_HOUR = 3_600.0
SIDE = 256
_SET, _LIBRARY = "FAKETIME_TIMESTAMP_FILE", "LD_PRELOAD"
_FIXED = {"DONT_FAKE_MONOTONIC": "1", "FAKETIME_CACHE_DURATION": "1"}


def measure(seconds: float = SECONDS, only: Collection[str] = tuple(JUMPS)) -> list[Hardship]:
    """Those of these names, or why they are skipped; `seconds` is how long each lasts."""
    with TemporaryDirectory() as folder, generator() as asking:
        setting = Path(folder, "clock")
        environment = {**_FIXED, _SET: str(setting), _LIBRARY: str(library())}
        if not works(setting, environment):
            return [Hardship(name, skipped="no libfaketime") for name in only]
        setting.write_text(NONE)
        with serving(Path(folder), environment) as service:
            targets = {each.name: service.request(each) for each in pipelines(catalogue(MODEL_REPOSITORIES))}

            def kept() -> dict[str, str]:
                return {"picture": hashed(harmonize(service, SIDE))}

            def drill(name: str) -> Hardship:
                def begin() -> None:
                    setting.write_text(JUMPS[name])

                def end() -> None:
                    setting.write_text(NONE)

                return endured(name, service, asking, targets, kept, begin, end, shared_mib, seconds)

            return [drill(name) for name in only]


def library() -> Path | None:
    """The library of the package `libfaketime`, where it is installed."""
    found = importlib.util.find_spec("libfaketime")
    folders = found.submodule_search_locations if found else None
    return next((path for folder in folders or () for path in Path(folder).rglob("libfaketime.so*")), None)


def works(setting: Path, environment: Mapping[str, str]) -> bool:
    """Whether a process sees another time with it; it may be of another processor's kind."""
    setting.write_text("+1d")
    command = [sys.executable, "-S", "-c", "import time; print(time.time())"]
    told = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, check=True)  # noqa: S603
    return float(told.stdout) - time.time() > AN_HOUR
