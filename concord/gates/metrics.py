"""Measures of harmonization and segmentation on 8-bit pictures."""

import numpy as np

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


def intersection_over_union(mask: Pixels, truth: Pixels) -> float:
    """IoU of two masks [H, W], foreground where not 0; 1 if both are empty."""
    union = np.count_nonzero((mask > 0) | (truth > 0))
    return np.count_nonzero((mask > 0) & (truth > 0)) / union if union else 1.0
