"""Which requests a run makes, and where each answer goes."""

import glob
import os
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from concord_client.commands import UsageError
from concord_client.expressions import Expressions
from concord_client.psd import SUFFIX as LAYERED

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".heic", ".heif", ".hif", ".avif"}
)
STEM = "{stem}"
PHOTOGRAPH = "image"
"""The picture of an answer that may be `LAYERED`."""


@dataclass(frozen=True)
class Job:
    """One request by its fields, texts, numbers or files of images, and the file to write for each field of its answer.

    A field of several images has its first there, and the others beside it where `further` ones are wanted.
    """

    fields: Mapping[str, Path | str | list[float]]
    outputs: Mapping[str, Path]
    further: bool = True

    @property
    def inputs(self) -> tuple[Path, ...]:
        """The files it reads."""
        return tuple(value for value in self.fields.values() if isinstance(value, Path))

    @property
    def name(self) -> str:
        """What messages call it: its first file, or else its text."""
        return str(next(iter([*self.inputs, *self.fields.values()]), "the request"))


@dataclass(frozen=True)
class Plan:
    """What a run is to do.

    Attributes:
        jobs: in the order of the images.
        failed: images that cannot be asked for, and lines that cannot be used, with the reason.
        unused: what is there for no image, with the reason.
    """

    jobs: Sequence[Job]
    failed: Mapping[str, str] = field(default_factory=dict)
    unused: Mapping[str, str] = field(default_factory=dict)


def find_images(patterns: Sequence[str]) -> list[Path]:
    """The files that glob patterns, folders and plain names stand for, each once, in order.

    A folder stands for the images directly in it; ``**`` in a pattern for any depth.

    Raises:
        UsageError: one of them stands for nothing.
    """
    found: dict[str, Path] = {}
    for pattern in patterns:
        path = Path(pattern)
        if path.is_file():
            files = [path]
        elif path.is_dir():
            files = sorted(file for file in path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES)
        else:
            files = [Path(name) for name in sorted(glob.glob(pattern, recursive=True))]  # noqa: PTH207 - absolute ones
        files = [file for file in files if file.is_file()]
        if not files:
            raise UsageError(f"no image matches {pattern!r}")
        found.update((os.path.realpath(file), file) for file in files)
    return list(found.values())


def plan_folder(
    walked: str,
    images: Sequence[Path],
    folders: Mapping[str, Path],
    *,
    values: Mapping[str, str | list[float]],
    patterns: Mapping[str, str],
    expressions: Mapping[str, Path] | None = None,
) -> Plan:
    """A job for each image: ``<folder>/<name>.png``, sub-folders below the images' common folder kept.

    Args:
        walked: name of the request's field that the images, at least one, are given for.
        folders: where the answer's pictures go, by field; they need not exist.
        values: the request's texts and numbers, by field, the same for all.
        patterns: the request's other images, by field: a folder that holds an image of the same stem for each, laid
            out like the images, or a path with ``{stem}``.
        expressions: files with a text for each image, by field; see `concord_client.expressions`.

    Raises:
        UsageError: see `check_outputs`; or a pattern is neither.
        OSError: a file of expressions cannot be read.
    """
    for field_name, pattern in patterns.items():
        if STEM not in pattern and not Path(pattern).is_dir():
            raise UsageError(f"--{field_name}s is {pattern!r}; allowed: a folder, or a path with {STEM} in it")
    absolute = [Path(os.path.abspath(image)) for image in images]  # noqa: PTH100 - resolve() would follow links
    common = os.path.commonpath([image.parent for image in absolute])
    names = [place.relative_to(common) for place in absolute]
    read = {each: Expressions.parse(path.read_bytes()) for each, path in (expressions or {}).items()}
    masks = {each: _Folder(Path(pattern)) for each, pattern in patterns.items() if STEM not in pattern}
    jobs: list[Job] = []
    failed: dict[str, str] = {}
    unused: dict[str, str] = {}
    for image, name in zip(images, names, strict=True):
        try:
            own = {each: _text(found, name.as_posix()) for each, found in read.items()}
            beside = {each: _beside(pattern, image, name, masks.get(each)) for each, pattern in patterns.items()}
        except LookupError as error:
            failed[str(image)] = str(error.args[0])
            continue
        outputs = {each: folder / name.with_suffix(".png") for each, folder in folders.items()}
        jobs.append(Job({walked: image, **values, **own, **beside}, outputs, further=False))
    for each, path in (expressions or {}).items():
        problems = read[each].unmatched({name.as_posix() for name in names})
        failed |= {f"{path}, line {number}": problem for number, problem in problems.items()}
    for folder in masks.values():
        unused |= {str(path): f"there is no {walked} of this stem" for path in folder.left()}
    check_outputs(jobs)
    return Plan(jobs, failed, unused)


def check_outputs(jobs: Sequence[Job]) -> None:
    """Makes sure that no answer overwrites an input or another answer, and that all are called PNG, or PSD.

    Names that differ only in case or in Unicode's composition count as the same, as on some file systems they are.

    Raises:
        UsageError: names the files.
    """
    taken = {_key(path): f"the input {path}" for job in jobs for path in job.inputs}
    for job in jobs:
        for name, output in job.outputs.items():
            suffix = output.suffix.lower()
            if suffix == LAYERED and name == PHOTOGRAPH:
                if find_spec("psd_tools") is None:
                    raise UsageError(f"{output}: PSD needs psd-tools; `pip install 'concord-client[psd]'`")
            elif suffix != ".png":
                raise UsageError(f"{output}: answers are PNG, which keeps every untouched pixel; name it something.png")
            if (key := _key(output)) in taken:
                raise UsageError(f"{output}, for {job.name}, would overwrite {taken[key]}")
            taken[key] = f"the answer for {job.name}"


def folded(name: str) -> str:
    """A name as file systems take it that know no case and one composition of letters."""
    return unicodedata.normalize("NFC", name).casefold()


def one_of_stem(names: Sequence[str], where: str = "") -> str:
    """The image among those of a stem, a PNG before others.

    Args:
        where: said behind that there is none.

    Raises:
        LookupError: there is none, or there are several.
    """
    png = [name for name in names if name.lower().endswith(".png")]
    if len(chosen := png or names) == 1:
        return chosen[0]
    several = f"there are several of its stem: {', '.join(chosen)}"
    raise LookupError(several if chosen else f"there is none of its stem{where}")


def numbered(path: Path, number: int) -> Path:
    """Where the picture of this number goes, 1 being the first, of an answer's field that has several."""
    return path if number == 1 else path.with_stem(f"{path.stem}-{number}")


def check_numbered(job: Job, fields: Sequence[str]) -> None:
    """Makes sure that no further picture of one of these fields of the answer can overwrite an input.

    Raises:
        UsageError: names the input.
    """
    for path in (job.outputs[each] for each in fields if each in job.outputs):
        for given in job.inputs:
            stem, dash, number = given.stem.rpartition("-")
            if dash and number.isdecimal() and _key(given.with_stem(stem)) == _key(path):
                raise UsageError(f"{given} has the name that a further picture of {path} would have; use another")


class _Folder:
    """A folder in which images of the same stem are found for others, sub-folders kept."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: dict[Path, dict[str, list[Path]]] = {}
        self._taken: set[Path] = set()

    def of(self, name: Path) -> Path:
        """The image for another; a PNG before others. Raises `LookupError` where there is none, or several."""
        folder = self._path / name.parent
        there = self._there(folder).get(name.stem, [])
        self._taken.update(there)
        return folder / one_of_stem([path.name for path in there], f" in {folder}")

    def left(self) -> list[Path]:
        """What was there for none of them."""
        every = {path for stems in self._found.values() for paths in stems.values() for path in paths}
        return sorted(every - self._taken)

    def _there(self, folder: Path) -> dict[str, list[Path]]:
        if folder not in self._found:
            stems = self._found[folder] = {}
            for path in sorted(folder.iterdir()) if folder.is_dir() else ():
                if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file():
                    stems.setdefault(path.stem, []).append(path)
        return self._found[folder]


def _beside(pattern: str, image: Path, name: Path, folder: _Folder | None) -> Path:
    return Path(pattern.replace(STEM, image.stem)) if folder is None else folder.of(name)


def _text(expressions: Expressions, name: str) -> str:
    if (text := expressions.of(name)) is None:
        raise LookupError("there is no expression for it")
    return text


def _key(path: Path) -> str:
    return folded(os.path.realpath(path))
