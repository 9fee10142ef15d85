"""Records: JSON files that say what a file beside them is."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any


def read_record(path: Path) -> dict[str, Any]:
    """The content of a record; empty if it cannot be read."""
    with suppress(OSError, ValueError):
        found = json.loads(path.read_text())
        return found if isinstance(found, dict) else {}
    return {}
