"""What may be thrown away at any time: files in the user's cache folder that make the next start sooner."""

import json
import os
import shutil
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from concord import processor
from concord.record import read_record

_IDENTITY = "identity.json"


def root() -> Path:
    """The project's folder in the user's cache folder; it need not exist, and cannot be made for who has no home."""
    place = os.environ.get("XDG_CACHE_HOME")
    try:
        return Path(place or Path.home() / ".cache") / "concord"
    except RuntimeError:
        return Path(os.devnull) / "concord"


def compiled(network: Path, version: str) -> Path | None:
    """The folder for what an engine compiles of a network's file; None where it cannot be written or is another's.

    It is emptied where another version of the engine, another processor or another content of the file filled it.
    Folders of files that are gone are removed.

    Args:
        version: of the engine.
    """
    network, folders = network.resolve(), root() / "compiled"
    folder = folders / f"{network.parents[1].name}-{sha256(str(network).encode()).hexdigest()[:16]}"
    identity = {"network": str(network), "version": version, "processor": processor.name()}
    try:
        identity["changed"] = str(network.stat().st_mtime_ns)
        folders.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folders.stat().st_uid != os.getuid():
            return None
        for other in folders.iterdir():
            left = not Path(read_record(other / _IDENTITY).get("network", "")).is_file()
            if left or (other == folder and read_record(other / _IDENTITY) != identity):
                shutil.rmtree(other, ignore_errors=True)
        folder.mkdir(exist_ok=True)
        with suppress(FileExistsError), (folder / _IDENTITY).open("x") as file:
            json.dump(identity, file)
    except OSError:
        return None
    return folder
