"""Composites with their records and their true masks, as the exports need them."""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from PIL import Image, UnidentifiedImageError

from annotation.iharmony4 import Sample
from annotation.record import DatasetError, Record
from concord.arrays import Pixels
from concord.masks import binary


def grouped(records: Iterable[Record], samples: Mapping[str, Sample]) -> Iterator[tuple[Sample, list[Record]]]:
    """Each composite with all of its records, in the order in which they first occur.

    Args:
        samples: by the composite's name.

    Raises:
        DatasetError: a composite is not among them.
    """
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record.composite, []).append(record)
    for name, group in groups.items():
        if name not in samples:
            raise DatasetError(f"{name}: not in the data set, or without a mask or a photograph there")
        yield samples[name], group


def below(sample: Sample) -> str:
    """The path of a composite below the data set."""
    return "/".join(sample.composite.parts[-3:])


def size_and_mask(sample: Sample) -> tuple[tuple[int, int], Pixels]:
    """The composite's width and height, and its true mask, uint8 [H, W] of 0 and 255.

    Raises:
        DatasetError: a file is no image, or the mask is empty or of another size.
    """
    try:
        with Image.open(sample.composite) as picture:
            size = picture.size
        mask = binary(np.asarray(Image.open(sample.mask).convert("L")))
    except (UnidentifiedImageError, OSError) as error:
        raise DatasetError(f"{sample.name}: {error}") from error
    if not mask.any():
        raise DatasetError(f"{sample.name}: the mask is empty")
    if mask.shape[::-1] != size:
        height, width = mask.shape
        raise DatasetError(f"{sample.name}: the mask has {width}x{height} pixels, the composite {size[0]}x{size[1]}")
    return size, mask
