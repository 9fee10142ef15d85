"""Which requests a run makes, and where each answer goes."""

import glob
import os
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from concord_client.commands import UsageError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
STEM = "{stem}"


@dataclass(frozen=True)
class Job:
    """One request by its fields, texts, numbers or files of images, and the PNG to write for each field of its answer.

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
) -> list[Job]:
    """A job for each image: ``<folder>/<name>.png``, sub-folders below the images' common folder kept.

    Args:
        walked: name of the request's field that the images, at least one, are given for.
        folders: where the answer's pictures go, by field; they need not exist.
        values: the request's texts and numbers, by field, the same for all.
        patterns: the request's other images, by field: a folder that holds ``<name>.png`` for each, laid out like the
            images, or a path with ``{stem}``.

    Raises:
        UsageError: see `check_outputs`; or a pattern is neither.
    """
    for field, pattern in patterns.items():
        if STEM not in pattern and not Path(pattern).is_dir():
            raise UsageError(f"--{field}s is {pattern!r}; allowed: a folder, or a path with {STEM} in it")
    absolute = [Path(os.path.abspath(image)) for image in images]  # noqa: PTH100 - resolve() would follow links
    common = os.path.commonpath([image.parent for image in absolute])
    jobs = []
    for image, place in zip(images, absolute, strict=True):
        name = place.relative_to(common).with_suffix(".png")
        beside = {field: _beside(pattern, image, name) for field, pattern in patterns.items()}
        outputs = {field: folder / name for field, folder in folders.items()}
        jobs.append(Job({walked: image, **values, **beside}, outputs, further=False))
    check_outputs(jobs)
    return jobs


def check_outputs(jobs: Sequence[Job]) -> None:
    """Makes sure that no answer overwrites an input or another answer, and that all are called PNG.

    Names that differ only in case or in Unicode's composition count as the same, as on some file systems they are.

    Raises:
        UsageError: names the files.
    """
    taken = {_key(path): f"the input {path}" for job in jobs for path in job.inputs}
    for job in jobs:
        for output in job.outputs.values():
            if output.suffix.lower() != ".png":
                raise UsageError(f"{output}: answers are PNG, which keeps every untouched pixel; name it something.png")
            if (key := _key(output)) in taken:
                raise UsageError(f"{output}, for {job.name}, would overwrite {taken[key]}")
            taken[key] = f"the answer for {job.name}"


def numbered(path: Path, number: int) -> Path:
    """Where the picture of this number goes, 1 being the first, of an answer's field that has several."""
    return path if number == 1 else path.with_stem(f"{path.stem}-{number}")


def check_numbered(job: Job, fields: Sequence[str]) -> None:
    """Makes sure that no further picture of one of these fields of the answer can overwrite an input.

    Raises:
        UsageError: names the input.
    """
    for path in (job.outputs[field] for field in fields if field in job.outputs):
        for given in job.inputs:
            stem, dash, number = given.stem.rpartition("-")
            if dash and number.isdecimal() and _key(given.with_stem(stem)) == _key(path):
                raise UsageError(f"{given} has the name that a further picture of {path} would have; use another")


def _beside(pattern: str, image: Path, name: Path) -> Path:
    return Path(pattern.replace(STEM, image.stem)) if STEM in pattern else Path(pattern) / name


def _key(path: Path) -> str:
    return unicodedata.normalize("NFC", os.path.realpath(path)).casefold()
