"""Photographs of Debian's packages to learn from and to be judged on: `python -m demo.photographs fetch`.

`photographs.tsv` names them: their split, package and version, licence as the package states it, SHA-256 and path. They
are never part of the repository. Where a package has polygons that people drew (labelme), these are kept beside them.
"""

import argparse
import csv
import hashlib
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from concord.scenes.photographs import Collection, bundled, segmented

TABLE = Path(__file__).with_name("photographs.tsv")
FOLDER = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "concord" / "photographs"


@dataclass(frozen=True)
class Source:
    """A row of the table."""

    split: str
    package: str
    version: str
    licence: str
    sha256: str
    file: str

    @property
    def path(self) -> Path:
        """Where it lies when it is fetched."""
        return FOLDER / f"{self.sha256[:16]}{Path(self.file).suffix}"

    @property
    def polygons(self) -> str:
        """The file of labelme beside it, if there is one."""
        return str(Path(self.file).with_suffix(".json"))


class NotFetched(Exception):
    """Photographs are not there, or not those of the table."""


@lru_cache(maxsize=1)
def sources() -> tuple[Source, ...]:
    """Every photograph of the table."""
    with TABLE.open(newline="") as file:
        return tuple(Source(**row) for row in csv.DictReader(file, delimiter="\t"))


def missing() -> list[Source]:
    """Those that are not fetched."""
    return [each for each in sources() if not each.path.exists()]


@lru_cache(maxsize=2)
def collection(split: str) -> Collection:
    """Those of a split ("train" or "held out"), to train with beside the bundled ones.

    Raises:
        NotFetched: some are not there.
    """
    if absent := missing():
        raise NotFetched(f"{len(absent)} photographs are not there: python -m demo.photographs fetch")
    found = tuple(
        segmented(each.file, np.asarray(Image.open(each.path).convert("RGB")), objects(each))
        for each in sources()
        if each.split == split
    )
    own = bundled(split) if split == "train" else Collection(split, (), ())
    return Collection(split, own.photographs + found, own.weights + (1.0,) * len(found))


def objects(source: Source) -> list[NDArray[np.int32]]:
    """Labels [H, W] of the objects whose polygons are known, -1 elsewhere; none where nobody drew any."""
    drawn = source.path.with_suffix(".json")
    if not drawn.exists():
        return []
    said = json.loads(drawn.read_text())
    labels = np.full((said["imageHeight"], said["imageWidth"]), -1, np.int32)
    polygons = [each["points"] for each in said["shapes"] if each["shape_type"] == "polygon"]
    for number, points in enumerate(polygons):
        cv2.fillPoly(labels, [np.rint(points).astype(np.int32)], (number,))
    return [labels] if polygons else []


def fetch() -> None:
    """Downloads the packages with apt, and keeps the pictures whose checksums are those of the table.

    Raises:
        NotFetched: apt or dpkg failed, or a picture is another one.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    wanted: dict[tuple[str, str], list[Source]] = defaultdict(list)
    for each in missing():
        wanted[each.package, each.version].append(each)
    for (package, version), pictures in wanted.items():
        print(f"{package} {version}: {len(pictures)} photographs", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            keep(pictures, download(package, version, Path(folder)))


def download(package: str, version: str, folder: Path) -> Path:
    """A package in the pinned version or, where the mirror has it no more, in today's: the checksums decide."""
    for name in (f"{package}={version}", package):
        command = ["apt-get", "download", "-q", name]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode == 0:
            return next(folder.glob("*.deb"))
    raise NotFetched(f"apt-get download {package}: {done.stderr.strip()}")


def keep(pictures: Iterable[Source], package: Path) -> None:
    """Takes the pictures, and the polygons beside them, out of a package."""
    by_path = {each.file: each.path for each in pictures}
    by_path |= {each.polygons: each.path.with_suffix(".json") for each in pictures}
    command = ["dpkg-deb", "--fsys-tarfile", str(package)]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE) as unpacked,  # noqa: S603
        tarfile.open(fileobj=unpacked.stdout, mode="r|") as archive,
    ):
        for member in archive:
            if (path := by_path.get(member.name.removeprefix("./"))) and (file := archive.extractfile(member)):
                path.write_bytes(file.read())
    for each in pictures:
        if not each.path.exists() or hashlib.sha256(each.path.read_bytes()).hexdigest() != each.sha256:
            each.path.unlink(missing_ok=True)
            raise NotFetched(f"{each.package} has another {each.file} than the table")


def card() -> str:
    """The rows of the model card."""
    rows = ["| photographs | package | licence, as the package states it | used for |", "|---|---|---|---|"]
    grouped: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for each in sources():
        grouped[each.package, each.licence, each.split].append(name(each.file))
    uses = {"train": "training", "held out": "held out"}
    rows += [f"| {', '.join(names)} | {key[0]} | {key[1]} | {uses[key[2]]} |" for key, names in grouped.items()]
    return "\n".join(rows)


def name(file: str) -> str:
    """What people call it: its stem, or its folder's name where the stem is only a size."""
    path = Path(file)
    return path.parts[-4] if path.stem.split("x")[0].isdigit() and "x" in path.stem else path.stem


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "command", choices=("fetch", "card"), help="fetch them, or print their table for the model card"
    )
    if parser.parse_args().command == "card":
        print(card())
        return 0
    try:
        fetch()
    except (NotFetched, OSError, subprocess.SubprocessError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{len(sources())} photographs in {FOLDER}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
