"""The variants of a network: the files of its profiles, and their records.

Every network file has a JSON record: the ``model.onnx`` it was built from, its precision, and how much its answers
differ from that file's (``model.onnx`` itself is compared with torch).
"""

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tritonclient.grpc import model_config_pb2  # type: ignore[import-untyped]

from concord.device import Device
from concord.record import read_record
from concord.repository import pbtxt
from concord.repository.profiles import HINT_BF16
from concord_client.catalogue import DEFAULT_PROFILE

DEFAULT = DEFAULT_PROFILE
"""Stands for ``config.pbtxt``, which is no profile of Triton's."""
TUNED = "tuned"
"""The profile that ``concord tune`` writes."""
PRECISIONS = ("fp32", "fp16", "bf16", "int8")
"""From the finest to the coarsest."""
DIFFERENCE, SNR = "difference", "snr"
_ONNX, _RECORD = "model.onnx", "model.json"


@dataclass(frozen=True)
class Comparison:
    """A network's answers compared with those of the network it was built from.

    Attributes:
        measure: ``difference``, the largest absolute one, or ``snr``, the signal-to-noise ratio in dB.
        value: the worst of all batches.
        threshold: the largest acceptable difference, or the smallest acceptable ratio.
    """

    measure: str
    value: float
    threshold: float

    @property
    def passed(self) -> bool:
        """NaN has not."""
        return self.value >= self.threshold if self.measure == SNR else self.value <= self.threshold

    def __str__(self) -> str:
        if self.measure == SNR:
            return f"{self.value:.1f} dB, allowed ≥ {self.threshold:.1f} dB"
        return f"{self.value:.2e}, allowed ≤ {self.threshold:.2e}"


@dataclass(frozen=True)
class Variant:
    """A network as one profile serves it: ``configs/<profile>.pbtxt``, or `DEFAULT`."""

    model: str
    profile: str
    config: Path
    device: Device | None = None
    """Where it runs; None for where its configuration says."""

    @cached_property
    def settings(self) -> model_config_pb2.ModelConfig:
        """The configuration; raises ServerFailure if it cannot be read."""
        settings = pbtxt.read(self.config, f"{self.model}/{self.config.name}")
        if self.device is not None:
            self.device.take(settings)
        return settings

    @property
    def file(self) -> str:
        """Name of the network's file; empty if the model is not a network."""
        return str(self.settings.default_model_filename)

    @property
    def version(self) -> Path:
        """Folder of the newest version, which is the served one."""
        folder = self.config.parent if self.profile == DEFAULT else self.config.parent.parent
        versions = (path for path in folder.iterdir() if path.name.isdecimal())
        return max(versions, key=lambda path: int(path.name), default=folder / "1")

    @property
    def made(self) -> bool:
        """Whether the file exists."""
        return (self.version / self.file).is_file()

    @property
    def size(self) -> int:
        """Bytes of the weights that are read: beside the file, and in it, where they may lie in half of them."""
        stem, exported = Path(self.file).stem, self.file == _ONNX
        names = [f"{stem}.bin", f"{stem}.weights", *(["weights-*.bin"] if exported else [])]
        beside = sum(path.stat().st_size for name in names for path in self.version.glob(name))
        own = sum(path.stat().st_size for path in self.version.glob(self.file))
        return beside + (2 if exported else 1) * own

    @cached_property
    def record(self) -> dict[str, Any]:
        """The content of the record; empty if it cannot be read."""
        name = _RECORD if self.file == _ONNX else f"{self.file}.json"
        return read_record(self.version / name)

    @property
    def precision(self) -> str:
        """One of `PRECISIONS`; without a valid entry in the record the finest, whose gate is the strictest.

        A configuration can compute a finer network in BF16. Empty if the file does not exist.
        """
        if not self.made:
            return ""
        named = self.record.get("precision")
        hints = self.settings.parameters
        computed = "bf16" if HINT_BF16 in hints and hints[HINT_BF16].string_value == "YES" else ""
        return coarsest([named if named in PRECISIONS else "", computed])

    @property
    def compared_in(self) -> str:
        """The engine whose answers were compared; ONNX Runtime by default."""
        return str(self.record.get("engine", "onnxruntime"))

    @property
    def comparison(self) -> Comparison | None:
        """The record's comparison; None without one."""
        if ratios := self.record.get("snr_db"):
            worst = min(ratios, key=lambda ratio: (not math.isnan(ratio), ratio))
            return Comparison(SNR, worst, self.record["least_snr_db"])
        tolerance = self.record.get("tolerance", 0.0)
        found = [
            Comparison(DIFFERENCE, batch["difference"], tolerance * max(1.0, batch["magnitude"]))
            for batch in self.record.get("differences", ())
        ]
        return max(found, key=lambda each: (not each.passed, each.value - each.threshold), default=None)

    @property
    def stale(self) -> bool:
        """Whether the file was made of another exported network, as far as their records tell."""
        return self.record.get("onnx_sha256") != read_record(self.version / _RECORD).get("onnx_sha256")

    def problem(self) -> str:
        """Why the file is not valid; empty if it is.

        The default only has to exist, because the others are compared with it.
        """
        if not self.made:
            return f"not made: there is no {self.file}"
        if self.profile == DEFAULT:
            return ""
        if not self.record:
            return f"{self.file} has no record"
        onnx = self.version / _ONNX
        if self.record.get("onnx_sha256") != (sha256(onnx) if onnx.is_file() else None):
            return f"stale: {self.file} was not made of the {_ONNX} that is there"
        compared = self.comparison
        if compared is None:
            return f"{self.file} was not compared with the network that it was made of"
        return "" if compared.passed else f"{compared.measure} of its answers is {compared}"


def variants(repositories: Iterable[Path]) -> dict[str, dict[str, Variant]]:
    """Every network of the repositories, and its variants by profile; `DEFAULT` comes first.

    Raises:
        ServerFailure: a configuration cannot be read.
    """
    networks = {}
    for folder in sorted(folder for repository in repositories for folder in repository.iterdir()):
        default = Variant(folder.name, DEFAULT, folder / "config.pbtxt")
        if default.config.is_file() and default.file:
            profiles = (Variant(folder.name, path.stem, path) for path in sorted(folder.glob("configs/*.pbtxt")))
            networks[folder.name] = {variant.profile: variant for variant in (default, *profiles)}
    return networks


def coarsest(precisions: Iterable[str]) -> str:
    """The coarsest of several precisions, some of which may be empty; the finest of all if none is given."""
    return max(filter(None, precisions), key=PRECISIONS.index, default=PRECISIONS[0])


def outdated(repositories: Iterable[Path]) -> Iterator[str]:
    """Networks whose profile `TUNED` is older than the files that it chose from, or chose a file that is gone."""
    return (model for model, profiles in variants(repositories).items() if TUNED in profiles and is_outdated(profiles))


def is_outdated(profiles: Mapping[str, Variant]) -> bool:
    """The same of one network, which has the profile `TUNED`."""
    written = profiles[TUNED].config.stat().st_mtime
    files = [variant.version / variant.file for variant in profiles.values() if variant.made]
    return not profiles[TUNED].made or any(path.stat().st_mtime > written for path in files)


def sha256(path: Path) -> str:
    """The digest of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
