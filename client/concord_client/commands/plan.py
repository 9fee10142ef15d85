"""Which photographs a run harmonizes, and where each answer goes."""

import glob
import os
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from concord_client.commands import UsageError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
STEM = "{stem}"


@dataclass(frozen=True)
class Job:
    """One photograph to harmonize.

    Args:
        image: the composite's file.
        output: the PNG to write.
        text: names the part to harmonize; None where a mask does.
        mask: the mask's file; None where a text names the part.
        mask_output: the PNG to write the predicted mask to; None where it is not wanted.
    """

    image: Path
    output: Path
    text: str | None = None
    mask: Path | None = None
    mask_output: Path | None = None

    @property
    def outputs(self) -> tuple[Path, ...]:
        """The files it writes."""
        return (self.output,) if self.mask_output is None else (self.output, self.mask_output)

    @property
    def inputs(self) -> tuple[Path, ...]:
        """The files it reads."""
        return (self.image,) if self.mask is None else (self.image, self.mask)


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
    images: Sequence[Path],
    output_folder: Path,
    *,
    text: str | None = None,
    masks: str | None = None,
    mask_output_folder: Path | None = None,
) -> list[Job]:
    """A job for each image: ``<output folder>/<name>.png``, sub-folders below the images' common folder kept.

    Args:
        images: at least one.
        output_folder: need not exist.
        text: names the part to harmonize, in all of them.
        masks: or a folder that holds ``<name>.png`` for each, laid out like the images, or a path with ``{stem}``.
        mask_output_folder: where predicted masks go, laid out in the same way.

    Raises:
        UsageError: see `check_outputs`; or ``masks`` is neither.
    """
    if masks is not None and STEM not in masks and not Path(masks).is_dir():
        raise UsageError(f"--masks is {masks!r}; allowed: a folder, or a path with {STEM} in it")
    absolute = [Path(os.path.abspath(image)) for image in images]  # noqa: PTH100 - resolve() would follow links
    common = os.path.commonpath([image.parent for image in absolute])
    jobs = []
    for image, place in zip(images, absolute, strict=True):
        name = place.relative_to(common).with_suffix(".png")
        jobs.append(
            Job(
                image,
                output_folder / name,
                text,
                mask=None if masks is None else _mask_path(masks, image, name),
                mask_output=None if mask_output_folder is None else mask_output_folder / name,
            )
        )
    check_outputs(jobs)
    return jobs


def check_outputs(jobs: Iterable[Job]) -> None:
    """Makes sure that no answer overwrites an input or another answer, and that all are called PNG.

    Names that differ only in case or in Unicode's composition count as the same, as on some file systems they are.

    Raises:
        UsageError: names the files.
    """
    jobs = list(jobs)
    taken = {_key(path): f"the input {path}" for job in jobs for path in job.inputs}
    for job in jobs:
        for output in job.outputs:
            if output.suffix.lower() != ".png":
                raise UsageError(f"{output}: answers are PNG, which keeps every untouched pixel; name it something.png")
            if (key := _key(output)) in taken:
                raise UsageError(f"{output}, for {job.image}, would overwrite {taken[key]}")
            taken[key] = f"the answer for {job.image}"


def _mask_path(masks: str, image: Path, name: Path) -> Path:
    return Path(masks.replace(STEM, image.stem)) if STEM in masks else Path(masks) / name


def _key(path: Path) -> str:
    return unicodedata.normalize("NFC", os.path.realpath(path)).casefold()
