"""New files of a model, made beside those that are served and put in their place by renaming."""

import contextlib
import hashlib
import json
import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import Any

import onnx

REPOSITORY = Path(__file__).parents[1] / "model_repository"
MODEL, RECORD = "model.onnx", "model.json"
WEIGHTS = "weights-*.bin"  # external data; the name carries its digest, so that old and new lie side by side


class Staged:
    """The files of one model under `<repository>/<name>/1/.stage.<process>`, until `switch` or the end of the block.

    Whatever ends the block early, a full disk and an interrupt included, leaves the served files as they were. A killed
    process leaves its stage behind; the next export of the model removes it.
    """

    def __init__(self, repository: Path, name: str) -> None:
        self.name = name
        self.folder = repository / name / "1"
        self.stage = self.folder / f".stage.{os.getpid()}"
        self.model = self.stage / MODEL
        self.switched: set[Path] = set()  # files that are served now

    def __enter__(self) -> "Staged":
        self.folder.mkdir(parents=True, exist_ok=True)
        for left in self.folder.glob(".stage.*"):
            if not Path("/proc", left.suffix[1:]).exists() or left == self.stage:
                shutil.rmtree(left, ignore_errors=True)
        self.stage.mkdir()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self.stage, ignore_errors=True)
        if self.switched:
            for path in set(self.folder.glob(WEIGHTS)) - self.switched:
                path.unlink()

    def name_weights(self) -> None:
        """Give the external data of the staged model, if it has any, the name that carries its digest."""
        written = [path for path in self.stage.iterdir() if path != self.model]
        if not written:
            return
        [weights] = written
        named = weights.rename(self.stage / WEIGHTS.replace("*", sha256(weights)[:16]))
        proto = onnx.load(self.model, load_external_data=False)
        for tensor in proto.graph.initializer:
            for entry in tensor.external_data:
                if entry.key == "location":
                    entry.value = named.name
        onnx.save(proto, self.model)

    def write_record(self, record: dict[str, Any]) -> None:
        """Write what `model.json` says, the model's own digest added, and see all staged files onto the disk."""
        record = {"model": self.name, **record, "onnx_sha256": sha256(self.model)}
        (self.stage / RECORD).write_text(json.dumps(record, indent=2) + "\n")
        for path in self.stage.iterdir():
            with path.open("rb") as stream:
                os.fsync(stream.fileno())

    def switch(self) -> None:
        """Serve the staged files: the weights first, then the model that names them, which is the one switch.

        Nothing but renaming, so that several models follow one another at once; the weights that were served are
        removed at the end of the block.
        """
        for path in (*self.stage.glob(WEIGHTS), self.model, self.stage / RECORD):
            self.switched.add(path.replace(self.folder / path.name))


def record_of(repository: Path, name: str) -> dict[str, Any]:
    """What the `model.json` of a model in the repository says; empty where there is none that can be read."""
    with contextlib.suppress(OSError, ValueError):
        found = json.loads((repository / name / "1" / RECORD).read_text())
        return found if isinstance(found, dict) else {}
    return {}


def sha256(path: Path) -> str:
    """The digest of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
