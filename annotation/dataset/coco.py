"""A data set of expressions in COCO's form, with masks as compressed run lengths, as pycocotools reads them."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from pycocotools import mask as run_lengths  # type: ignore[import-untyped]

from annotation.dataset.composites import below, size_and_mask
from annotation.iharmony4 import Sample
from annotation.record import Annotation, Record
from concord.arrays import Pixels

CATEGORY = {"id": 1, "name": "foreground", "supercategory": "part"}


def coco(composites: Iterable[tuple[Sample, Sequence[Record]]]) -> dict[str, Any]:
    """The whole file: an image for each composite that has expressions, and its mask as one annotation.

    COCO has no place for expressions: they are in the annotation's field ``expressions``, which its readers pass over.

    Raises:
        DatasetError: a mask is no image, is empty, or has another size than the composite.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for sample, records in composites:
        expressions = [each.expression for each in records if isinstance(each, Annotation)]
        if expressions:
            number = len(images) + 1
            (width, height), mask = size_and_mask(sample)
            images.append({"id": number, "file_name": below(sample), "width": width, "height": height})
            annotations.append(
                {"id": number, "image_id": number, "category_id": CATEGORY["id"], "iscrowd": 0}
                | segmentation(mask)
                | {"expressions": list(dict.fromkeys(expressions))}
            )
    info = {"description": "composites with referring expressions for their foreground", "version": "1.0"}
    return {"info": info, "licenses": [], "categories": [CATEGORY], "images": images, "annotations": annotations}


def segmentation(mask: Pixels) -> dict[str, Any]:
    """Run lengths, area and box (x, y, width, height) of a mask, uint8 [H, W], foreground where not 0."""
    encoded = run_lengths.encode(np.asfortranarray(mask > 0, np.uint8))
    return {
        "segmentation": {"size": encoded["size"], "counts": encoded["counts"].decode("ascii")},
        "area": int(run_lengths.area(encoded)),
        "bbox": run_lengths.toBbox(encoded).tolist(),
    }
