"""The published measures of a harmonized picture, and their means by sub-set and by size of the foreground."""

from collections.abc import Callable, Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from concord.gates.metrics import foreground_mse, psnr
from concord.instruments import markdown

MEASURES = ("PSNR", "SSIM", "MSE", "fMSE")
SIDE_BY_SIDE = ("MSE", "fMSE")
RATIOS = {"0-5 %": (0.0, 0.05), "5-15 %": (0.05, 0.15), "15-100 %": (0.15, 1.0)}

Score = dict[str, float]


class Result(TypedDict):
    """The scores of one composite: each of `MEASURES` of the composite itself and harmonized.

    `ratio` is the foreground's share of the picture, `iou` of a mask that was found from a text.
    """

    name: str
    subset: str
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
    by_subset = groups(results, sorted({result["subset"] for result in results}), lambda result: result["subset"])
    by_ratio = groups(results, list(RATIOS), lambda result: ratio_name(result["ratio"]))
    return table("sub-set", by_subset) + "\n\n" + table("foreground", by_ratio)


def side_by_side(scored: dict[str, list[Result]]) -> str:
    """Markdown: "MSE / fMSE / IoU in %" of each model by sub-set, over the composites that all of them have scored."""
    shared = set.intersection(*({result["name"] for result in results} for results in scored.values()))
    kept = {model: [each for each in results if each["name"] in shared] for model, results in scored.items()}
    subsets = sorted({result["subset"] for results in kept.values() for result in results})
    by_model = {model: groups(results, subsets, lambda result: result["subset"]) for model, results in kept.items()}
    rows = []
    for name in (*subsets, "all"):
        groups_of = [by_group[name] for by_group in by_model.values()]
        composite = [result["composite"] for result in groups_of[0]]
        before = " / ".join(mean([score[each] for score in composite]) for each in SIDE_BY_SIDE)
        rows.append([name, len(composite), before, *map(in_one_cell, groups_of)])
    return markdown.table(["sub-set", "images", "composite", *scored], rows)


def in_one_cell(results: Sequence[Result]) -> str:
    harmonized = [mean([result["harmonized"][each] for result in results]) for each in SIDE_BY_SIDE]
    found = mean([100 * result["iou"] for result in results if result["iou"] is not None])
    return " / ".join([*harmonized, found] if found else harmonized)


def ratio_name(ratio: float) -> str:
    """The published class of a foreground's share; its upper end belongs to the next."""
    return next((name for name, (_, end) in RATIOS.items() if ratio < end), list(RATIOS)[-1])


def groups(
    results: Sequence[Result], names: Sequence[str], name_of: Callable[[Result], str]
) -> dict[str, list[Result]]:
    """Results by the name of their group, in the order of the names, and then all of them."""
    return {name: [each for each in results if name_of(each) == name] for name in names} | {"all": list(results)}


def table(title: str, rows: dict[str, list[Result]]) -> str:
    header = [title, "images", *(each for name in MEASURES for each in (f"{name}, composite", "harmonized")), "IoU"]
    cells = []
    for name, results in rows.items():
        found = [100 * result["iou"] for result in results if result["iou"] is not None]
        halves = [result["composite"] for result in results], [result["harmonized"] for result in results]
        scores = [[score[each] for score in half] for each in MEASURES for half in halves]
        cells.append([name, len(results), *map(mean, scores), mean(found)])
    return markdown.table(header, cells)


def mean(values: Sequence[float]) -> str:
    """With two decimals; empty without values."""
    return f"{float(np.mean(values)):.2f}" if values else ""
