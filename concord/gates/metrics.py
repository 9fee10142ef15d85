"""Measures of harmonization and segmentation on 8-bit pictures."""

import numpy as np
from numpy.typing import NDArray


def foreground_mse(picture: NDArray[np.uint8], truth: NDArray[np.uint8], mask: NDArray[np.uint8]) -> float:
    """fMSE of Cong et al. (CVPR 2020): mean squared error over the foreground's pixels and channels, in grey levels.

    Args:
        picture, truth: [H, W, 3]; mask: [H, W], foreground where not 0, and not empty.
    """
    inside = mask > 0
    return float(((picture[inside].astype(np.float32) - truth[inside]) ** 2).mean())


def psnr(picture: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    """Peak signal-to-noise ratio of the whole picture in dB; infinite for equal pictures."""
    error = float(((picture.astype(np.float32) - truth) ** 2).mean())
    return float(10 * np.log10(255**2 / error)) if error else float("inf")


def intersection_over_union(mask: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    """IoU of two masks [H, W], foreground where not 0; 1 if both are empty."""
    union = np.count_nonzero((mask > 0) | (truth > 0))
    return np.count_nonzero((mask > 0) & (truth > 0)) / union if union else 1.0
