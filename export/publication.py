"""New files of a model, made beside those that are served and put in their place by renaming."""

import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import onnx

from concord.record import read_record
from concord.variants import sha256
from export.engine_profiles import EngineError
from export.gate_record import withdraw

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

    def __exit__(self, *_error: object) -> None:
        shutil.rmtree(self.stage, ignore_errors=True)
        if self.switched:
            for path in set(self.folder.glob(WEIGHTS)) - self.switched:
                path.unlink()
            self.remove_forms_of_others()

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
        write_json(self.stage / RECORD, record)
        see_onto_disk(self.stage.iterdir())

    def place(self, record: dict[str, Any], *names: str) -> Path:
        """Put staged files in place by renaming, in this order, then a record of the last, whose path it returns."""
        placed = self.folder / names[-1]
        names = (*names, f"{placed.name}.json")
        write_json(self.stage / names[-1], record)
        see_onto_disk(self.stage / name for name in names)
        for name in names:
            (self.stage / name).replace(self.folder / name)
        return placed

    def remove_forms_of_others(self) -> None:
        """Remove engines and other precisions that were made of another network than the one that is there."""
        served = read_record(self.folder / RECORD).get("onnx_sha256")
        for record in self.folder.glob("model.*.json"):
            if read_record(record).get("onnx_sha256") != served:
                form = ".".join(record.name.split(".")[:2])  # model.int8 of model.int8.xml.json
                for path in (*self.folder.glob(f"{form}.*"), *self.folder.glob(form)):
                    path.unlink()

    def switch(self) -> None:
        """Serve the staged files: the weights first, then the model that names them, which is the one switch.

        Nothing but renaming, so that several models follow one another at once; the weights that were served, and
        engines and other precisions of their network, are removed at the end of the block. What pipelines' gates found
        of the network does not count any more.
        """
        withdraw(self.folder.absolute().parents[2] / "ensembles", self.name)
        for path in (*self.stage.glob(WEIGHTS), self.model, self.stage / RECORD):
            self.switched.add(path.replace(self.folder / path.name))

    def exchange(self) -> None:
        """Serve the staged file in the place of one that computes the same, bit for bit.

        What is known of the served one, by its records and pipelines' gates, is known of the staged one.
        """
        served = self.folder / MODEL
        before, after = sha256(served), {"onnx_sha256": sha256(self.model)}
        for path in self.folder.glob("*.json"):
            if (record := read_record(path)).get("onnx_sha256") == before:
                write_json(self.stage / path.name, record | after)
        # What was tuned or compiled of the served one is not older for it.
        os.utime(self.model, ns=(served.stat().st_atime_ns, served.stat().st_mtime_ns))
        see_onto_disk(self.stage.iterdir())
        for path in (self.model, *self.stage.glob("*.json")):
            path.replace(self.folder / path.name)


def exported(repository: Path, name: str) -> Path:
    """The network of a model in the repository; EngineError if it has not been exported."""
    path = repository / name / "1" / MODEL
    if not path.is_file():
        raise EngineError(f"{name}: has no exported network ({path})")
    return path


def record_of(repository: Path, name: str) -> dict[str, Any]:
    """What the `model.json` of a model in the repository says; empty where there is none that can be read."""
    return read_record(repository / name / "1" / RECORD)


def write_json(path: Path, record: dict[str, Any]) -> None:
    path.write_text(json.dumps(record, indent=2) + "\n")


def see_onto_disk(paths: Iterable[Path]) -> None:
    """Return when what was written to the files would survive a loss of power."""
    for path in paths:
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
