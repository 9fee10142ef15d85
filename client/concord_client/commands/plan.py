"""Which requests a run makes, and where each answer goes."""

import glob
import os
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from concord_client.commands import UsageError

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".heic", ".heif", ".hif", ".avif"}
)
STEM = "{stem}"
LAYERED, PHOTOGRAPH = ".psd", "image"
"""What an answer's photograph may be, and no other of its pictures."""


@dataclass(frozen=True)
class Job:
    """One request by its fields, texts or files of images, and the file to write for each field of its answer."""

    fields: Mapping[str, Path | str]
    outputs: Mapping[str, Path]

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
    texts: Mapping[str, str],
    patterns: Mapping[str, str],
) -> list[Job]:
    """A job for each image: ``<folder>/<name>.png``, sub-folders below the images' common folder kept.

    Args:
        walked: name of the request's field that the images, at least one, are given for.
        folders: where the answer's pictures go, by field; they need not exist.
        texts: the request's texts, by field, the same for all.
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
        jobs.append(Job({walked: image, **texts, **beside}, outputs))
    check_outputs(jobs)
    return jobs


def check_outputs(jobs: Sequence[Job]) -> None:
    """Makes sure that no answer overwrites an input or another answer, and that all are called PNG, or PSD.

    Names that differ only in case or in Unicode's composition count as the same, as on some file systems they are.

    Raises:
        UsageError: names the files.
    """
    taken = {_key(path): f"the input {path}" for job in jobs for path in job.inputs}
    for job in jobs:
        for field, output in job.outputs.items():
            suffix = output.suffix.lower()
            if suffix == LAYERED and field == PHOTOGRAPH:
                if find_spec("psd_tools") is None:
                    raise UsageError(f"{output}: PSD needs psd-tools; `pip install 'concord-client[psd]'`")
            elif suffix != ".png":
                raise UsageError(f"{output}: answers are PNG, which keeps every untouched pixel; name it something.png")
            if (key := _key(output)) in taken:
                raise UsageError(f"{output}, for {job.name}, would overwrite {taken[key]}")
            taken[key] = f"the answer for {job.name}"


def _beside(pattern: str, image: Path, name: Path) -> Path:
    return Path(pattern.replace(STEM, image.stem)) if STEM in pattern else Path(pattern) / name


def _key(path: Path) -> str:
    return unicodedata.normalize("NFC", os.path.realpath(path)).casefold()
