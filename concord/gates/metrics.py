"""Measures of harmonization and segmentation on 8-bit pictures."""

import cv2
import numpy as np
from numpy.typing import NDArray

from concord.arrays import Pixels


def foreground_mse(picture: Pixels, truth: Pixels, mask: Pixels) -> float:
    """fMSE of Cong et al. (CVPR 2020): mean squared error over the foreground's pixels and channels, in grey levels.

    Args:
        picture, truth: [H, W, 3]; mask: [H, W], foreground where not 0, and not empty.
    """
    inside = mask > 0
    return float(((picture[inside].astype(np.float32) - truth[inside]) ** 2).mean())


def psnr(picture: Pixels, truth: Pixels) -> float:
    """Peak signal-to-noise ratio of the whole picture in dB; infinite for equal pictures."""
    return decibels(squared_error(picture, truth))


def squared_error(picture: Pixels, other: Pixels) -> float:
    """The mean over all pixels and channels, in grey levels squared."""
    return float(((picture.astype(np.float32) - other) ** 2).mean())


def decibels(squared_error: float) -> float:
    """The PSNR of a mean squared error; infinite for 0."""
    return float(10 * np.log10(255**2 / squared_error)) if squared_error else float("inf")


def boundary_f(mask: Pixels, truth: Pixels, tolerance: float) -> float:
    """F-score of a mask's boundary (Martin et al. 2004): how much of each boundary lies near the other.

    Args:
        mask, truth: [H, W], foreground where not 0. The picture's border is no boundary.
        tolerance: pixels that still are near.

    Returns:
        0..1; without a boundary in one of them 0, in both 1.
    """
    edges = [_boundary(mask), _boundary(truth)]
    if not all(edge.any() for edge in edges):
        return float(not any(edge.any() for edge in edges))
    distances = [cv2.distanceTransform((~edge).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5) for edge in edges]
    precision = float((distances[1][edges[0]] <= tolerance).mean())
    recall = float((distances[0][edges[1]] <= tolerance).mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _boundary(mask: Pixels) -> NDArray[np.bool_]:
    """The foreground's pixels that touch the background."""
    inside = np.pad((mask > 0).astype(np.uint8), 1, mode="edge")
    eroded = cv2.erode(inside, cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)))
    return (inside > eroded)[1:-1, 1:-1]
