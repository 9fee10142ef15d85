"""The published measures of a harmonized picture, and their means by sub-set and by size of the foreground."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from concord.gates.metrics import foreground_mse, psnr

MEASURES = ("PSNR", "SSIM", "MSE", "fMSE")
RATIOS = {"0-5 %": (0.0, 0.05), "5-15 %": (0.05, 0.15), "15-100 %": (0.15, 1.0)}

Score = dict[str, float]


class Result(TypedDict):
    """The scores of one composite.

    Attributes:
        ratio: the foreground's share of the picture.
        composite, harmonized: each of `MEASURES` before and after.
        iou: of the mask found from a text; None if the true one was used.
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


def ratio_name(ratio: float) -> str:
    """The published class of a foreground's share; its upper end belongs to the next."""
    return next((name for name, (_, end) in RATIOS.items() if ratio < end), list(RATIOS)[-1])


def groups(
    results: Iterable[Result], names: Sequence[str], name_of: Callable[[Result], str]
) -> dict[str, list[Result]]:
    """Results by the name of their group, in the order of the names, and then all of them."""
    everything = list(results)
    return {name: [each for each in everything if name_of(each) == name] for name in names} | {"all": everything}


def table(title: str, rows: dict[str, list[Result]]) -> str:
    lines = [
        f"| {title} | images | "
        + " | ".join(f"{measure}, composite | harmonized" for measure in MEASURES)
        + " | IoU |",
        "| --- " * (3 + 2 * len(MEASURES)) + "|",
    ]
    for name, results in rows.items():
        cells = [f"{mean(results, kind, each):.2f}" for each in MEASURES for kind in ("composite", "harmonized")]
        found = [result["iou"] for result in results if result["iou"] is not None]
        overlap = f"{100 * float(np.mean(found)):.2f}" if found else ""
        lines.append(f"| {name} | {len(results)} | " + " | ".join(cells if results else [""] * 8) + f" | {overlap} |")
    return "\n".join(lines)


def mean(results: Sequence[Result], kind: str, measure: str) -> float:
    """Mean over images of a measure of the "composite" or "harmonized"; NaN without images."""
    values = [(result["composite"] if kind == "composite" else result["harmonized"])[measure] for result in results]
    return float(np.mean(values)) if values else float("nan")
