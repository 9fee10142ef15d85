"""Composites through the served harmonizers, scored."""

import argparse
from collections.abc import Sequence
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from annotation.scored import iou, resized
from benchmarks.quality.kept import Kept, kept
from benchmarks.quality.pictures import LeftOut, foreground, pixels, resized_mask
from benchmarks.quality.referrals import Referral, Referrals
from benchmarks.quality.scores import Result, score
from concord.masks import encode_mask
from concord.png import encode_png
from concord_client import Client, Harmonize, InvalidInput, Pipeline

MASK, TEXT = {"IMAGE", "MASK"}, {"IMAGE", "TEXT"}
"""What a harmonizer is given."""


def every(client: Client, given: set[str]) -> list[str]:
    """The models that harmonize what is given, in the catalogue's order."""
    models = [each.model for each in client.catalogue().of_task(Harmonize.TASK) if each.takes(given)]
    return list(dict.fromkeys(models))


def chosen(client: Client, models: Sequence[str | None], given: set[str]) -> list[Pipeline]:
    """The pipelines of these harmonizers; of the first one for None. Raises ModelNotFound or InvalidInput."""
    catalogue = client.catalogue()
    return [catalogue.choose(Harmonize.TASK, name, given, streams=True) for name in models]


def harmonized(
    arguments: argparse.Namespace, output: Path, client: Client, pipeline: Pipeline, wanted: Referrals
) -> Kept[Result]:
    """Scores what is left of the data set with a model, and keeps the results.

    Raises:
        DatasetError: `output` holds results of other settings.
    """
    expressions = getattr(arguments, "expressions", None)
    settings = {
        "dataset": str(arguments.dataset.resolve()),
        "model": pipeline.model,
        "settings": {"seed": 0} if "SEED" in pipeline.settings else {},
        "expressions": str(expressions.resolve()) if expressions else None,
        "full_resolution": arguments.full_resolution,
    }
    ask = partial(measure, client, pipeline.model, settings["settings"], arguments.full_resolution)
    return kept(output, settings, wanted.found, ask, arguments.limit)


def measure(client: Client, model: str, settings: dict[str, int], full: bool, referral: Referral) -> Result:
    """Harmonizes a composite by its expression or its mask, and scores it.

    Args:
        full: it is sent as it is, not at 256 x 256.

    Raises:
        LeftOut: a file is not an image, the mask is empty, or the server refuses them.
    """
    sample, expression = referral.sample, referral.expression
    try:
        composite, real, mask = pixels(sample.composite), resized(pixels(sample.real)), foreground(sample)
        small, small_mask = resized(composite), resized_mask(mask)
        sent, sent_mask = (composite, mask) if full else (small, small_mask)
        request = Harmonize(
            encode_png(sent), text=expression, mask=encode_mask(sent_mask) if expression is None else None
        )
        answer = client.run(request, model=model, settings=settings)
    except (UnidentifiedImageError, OSError, InvalidInput) as error:
        raise LeftOut(str(error)) from error
    return Result(
        name=sample.name,
        subset=sample.subset,
        expression=expression,
        ratio=float((small_mask > 0).mean()),
        composite=score(small, real, small_mask),
        harmonized=score(resized(np.asarray(Image.open(BytesIO(answer.image)).convert("RGB"))), real, small_mask),
        iou=None if expression is None else iou(answer.mask or b"", small_mask),
    )
