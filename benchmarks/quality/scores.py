"""The published measures of a harmonized picture, and their means by sub-set and by size of the foreground."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from annotation.iharmony4 import SUBSETS
from benchmarks.quality.kept import R, Scored
from benchmarks.quality.published import ALL, Published
from concord.gates.metrics import foreground_mse, psnr
from concord.instruments import markdown

MEASURES = ("PSNR", "SSIM", "MSE", "fMSE")
COMPOSITE = "composite"
RATIOS = {"0-5 %": (0.0, 0.05), "5-15 %": (0.05, 0.15), "15-100 %": (0.15, 1.0)}

Score = dict[str, float]


class Result(Scored):
    """The scores of one composite: each of `MEASURES` of the composite itself and harmonized.

    `ratio` is the foreground's share of the picture, `iou` of a mask that was found from a text.
    """

    ratio: float
    composite: Score
    harmonized: Score
    iou: float | None


def score(picture: NDArray[np.uint8], truth: NDArray[np.uint8], mask: NDArray[np.uint8]) -> Score:
    """Each of `MEASURES` of pictures [256, 256, 3] and a mask [256, 256], foreground where not 0, and not empty.

    MSE and fMSE in squared grey levels, PSNR in dB, SSIM (Wang et al. 2004) in windows of 7 x 7 over the channels.
    """
    difference = picture.astype(np.float32) - truth
    return {
        "PSNR": psnr(picture, truth),
        "SSIM": float(structural_similarity(picture, truth, channel_axis=2)),
        "MSE": float((difference**2).mean()),
        "fMSE": foreground_mse(picture, truth, mask),
    }


def tables(results: Sequence[Result]) -> str:
    """Markdown: the measures by sub-set, and by the foreground's share as published; composite, then harmonized."""
    by_subset = by_name(results)
    by_ratio = groups(results, list(RATIOS), lambda result: ratio_name(result["ratio"]))
    return table("sub-set", by_subset) + "\n\n" + table("foreground", by_ratio)


def side_by_side(
    scored: Mapping[str, Sequence[Result]], measures: Sequence[str], beside: Published | None = None
) -> str:
    """Markdown: the measures of each model in one cell, by sub-set, over what all of them have scored.

    Args:
        scored: by model.
        measures: of `MEASURES`, and "IoU", in %.
        beside: the published scores of these models stand below each sub-set's row.
    """
    keys = [{(each["name"], each["expression"]) for each in results} for results in scored.values()]
    shared = set.intersection(*keys)
    groups_of = {
        model: by_name([each for each in results if (each["name"], each["expression"]) in shared])
        for model, results in scored.items()
    }
    columns = beside.of_models([COMPOSITE, *scored]) if beside else {}
    first = next(iter(groups_of.values()))
    count = counted(first[ALL])
    rows = []
    for name, results in first.items():
        before = [mean([each["composite"][measure] for each in results]) for measure in measures if measure in MEASURES]
        cells = [in_one_cell(by_group[name], measures) for by_group in groups_of.values()]
        rows.append([name, *counts(results, count), " / ".join(before), *cells])
        told = [columns[model].cell(name) if model in columns else "" for model in (COMPOSITE, *scored)]
        if any(told):
            rows.append(["published", *[""] * len(count), *told])
    header = [f"{columns[model].method}: {model}" if model in columns else model for model in scored]
    return markdown.table(["sub-set", *count, COMPOSITE, *header], rows)


def beside_published(scored: Mapping[str, Sequence[Result]], beside: Published) -> str:
    """Markdown: every published method's scores over all sub-sets, and those of the model that it is here."""
    rows = [
        [
            column.method,
            column.cell(ALL),
            column.served,
            in_one_cell(scored[column.served], beside.measures) if column.served in scored else "",
        ]
        for column in beside.columns
    ]
    return markdown.table(["method", "published", "model", "measured"], rows)


def in_one_cell(results: Sequence[Result], measures: Sequence[str]) -> str:
    """Means of harmonized pictures, with " / " between them."""
    return " / ".join(
        mean(ious(results)) if measure == "IoU" else mean([result["harmonized"][measure] for result in results])
        for measure in measures
    )


def ious(results: Sequence[Result]) -> list[float]:
    """In %, of masks that were found."""
    return [100 * result["iou"] for result in results if result["iou"] is not None]


def ratio_name(ratio: float) -> str:
    """The published class of a foreground's share; its upper end belongs to the next."""
    return next((name for name, (_, end) in RATIOS.items() if ratio < end), list(RATIOS)[-1])


def by_name(results: Sequence[R]) -> dict[str, list[R]]:
    """Results by the name of their sub-set, in the published order, and then all of them."""
    there = {result["subset"] for result in results}
    return groups(results, [name for name in SUBSETS if name in there], lambda result: result["subset"])


def groups(results: Sequence[R], names: Sequence[str], name_of: Callable[[R], str]) -> dict[str, list[R]]:
    """Results by the name of their group, in the order of the names, and then all of them."""
    return {name: [each for each in results if name_of(each) == name] for name in names} | {ALL: list(results)}


def counted(results: Sequence[Scored]) -> list[str]:
    """Headers of what `counts` counts."""
    return ["images", "expressions"] if any(result["expression"] is not None for result in results) else ["images"]


def counts(results: Sequence[Scored], header: Sequence[str]) -> list[int]:
    """Composites, and where the header wants them, expressions."""
    return [len({result["name"] for result in results}), len(results)][: len(header)]


def table(title: str, rows: Mapping[str, Sequence[Result]]) -> str:
    count = counted(rows[ALL])
    header = [title, *count, *(each for name in MEASURES for each in (f"{name}, composite", "harmonized")), "IoU"]
    cells = []
    for name, results in rows.items():
        halves = [result["composite"] for result in results], [result["harmonized"] for result in results]
        scores = [[score[each] for score in half] for each in MEASURES for half in halves]
        cells.append([name, *counts(results, count), *map(mean, scores), mean(ious(results))])
    return markdown.table(header, cells)


def mean(values: Sequence[float]) -> str:
    """With two decimals; empty without values."""
    return f"{float(np.mean(values)):.2f}" if values else ""
