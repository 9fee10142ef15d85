"""Data in iHarmony4's layout (Cong et al., "DoveNet", CVPR 2020): composites, and the mask and photograph of each.

A sub-set is a folder with ``composite_images``, ``masks`` and ``real_images``; the composite ``c1_2_3.jpg`` belongs to
the mask ``c1_2.png`` and to the photograph ``c1.jpg``. ``<sub-set>_test.txt`` in it lists the composites of the test
set; without that list all of them are taken.
"""

from dataclasses import dataclass
from pathlib import Path

from annotation.record import Annotation, DatasetError, read_records

SUBSETS = ("HCOCO", "HAdobe5k", "HFlickr", "Hday2night")


@dataclass(frozen=True)
class Sample:
    """One composite, named by its sub-set and file name, with its mask and photograph."""

    name: str
    subset: str
    composite: Path
    mask: Path
    real: Path


@dataclass(frozen=True)
class Dataset:
    """The samples in the order of their names, and a line for each composite that lacks a file."""

    samples: list[Sample]
    missing: list[str]


def read_dataset(folder: Path, tested: bool = True) -> Dataset:
    """The sub-sets in `folder`; raises DatasetError if there is none.

    Args:
        tested: of a sub-set that lists its test set, only that.
    """
    found = [subset for subset in SUBSETS if (folder / subset / "composite_images").is_dir()]
    if not found:
        raise DatasetError(f"no composite_images in any of {', '.join(SUBSETS)} below {folder}")
    samples: list[Sample] = []
    missing: list[str] = []
    for subset in found:
        images, masks, photographs = (
            by_stem(folder / subset / part) for part in ("composite_images", "masks", "real_images")
        )
        listed = test_stems(folder / subset, subset) if tested else []
        for stem in listed or sorted(images):
            of_object, of_photograph = stem.rpartition("_")[0], stem.rsplit("_", 2)[0]
            parts = {
                f"composite_images/{stem}": images.get(stem),
                f"masks/{of_object}": masks.get(of_object),
                f"real_images/{of_photograph}": photographs.get(of_photograph),
            }
            composite, mask, real = parts.values()
            if composite and mask and real:
                samples.append(Sample(f"{subset}/{composite.name}", subset, composite, mask, real))
            else:
                absent = " and ".join(name for name, path in parts.items() if path is None)
                missing.append(f"{subset}/{stem}: no {absent}")
    return Dataset(sorted(samples, key=lambda sample: sample.name), missing)


def test_stems(folder: Path, subset: str) -> list[str]:
    """File names without endings of the test set; empty without a list."""
    listing = folder / f"{subset}_test.txt"
    lines = listing.read_text().split() if listing.is_file() else []
    return sorted(Path(line).stem for line in lines)


def by_stem(folder: Path) -> dict[str, Path]:
    """Files of a folder by their names without endings."""
    return {path.stem: path for path in folder.iterdir() if path.is_file()} if folder.is_dir() else {}


def read_expressions(path: Path) -> dict[str, list[str]]:
    """Referring expressions by the composite's name, from a file of records: each text once, in the file's order.

    Raises:
        DatasetError: names the line that is no record.
    """
    expressions: dict[str, list[str]] = {}
    for record in read_records(path):
        if isinstance(record, Annotation) and record.expression not in expressions.setdefault(record.composite, []):
            expressions[record.composite].append(record.expression)
    return expressions
