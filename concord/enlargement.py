"""A photograph to be enlarged: what its network sees, and the answer, checked before any work."""

import cv2
import numpy as np

from concord.arrays import Floats, Pixels
from concord.errors import ImageTooLarge
from concord.images import read_header
from concord.limits import MAX_SIDE, Limits


def check_enlarged(encoded: bytes, factor: int, limits: Limits) -> None:
    """Refuses a photograph whose answer, ``factor`` times as high and wide, would be over the limits.

    Raises:
        ImageTooLarge: it says how large the photograph may be. No pixel was decoded.
        ConcordError: as `concord.images.read_header`.
    """
    width, height = read_header(encoded, limits, "IMAGE").size
    problem = f"{width}x{height} pixels, of which an answer of {factor * width}x{factor * height} would be made"
    most = limits.max_pixels // factor**2
    if width * height > most:
        raise ImageTooLarge("IMAGE", problem, f"at most {most} pixels")
    if max(width, height) > MAX_SIDE // factor:
        raise ImageTooLarge("IMAGE", problem, f"sides of at most {MAX_SIDE // factor} pixels")


def padded(picture: Floats, sides: tuple[int, int]) -> Floats:
    """A picture [C, H, W] with its mirror image below and to the right, up to a height and a width."""
    more = [(0, side - size) for side, size in zip(sides, picture.shape[1:], strict=True)]
    return np.pad(picture, [(0, 0), *more], "symmetric")


def with_alpha(colours: Pixels, pixels: Pixels) -> Pixels:
    """Colours uint8 [h, w, 3], and the alpha of the photograph uint8 [H, W, 3 or 4] that they were made of, if any."""
    if pixels.shape[2] == 3:
        return colours
    alpha = cv2.resize(pixels[..., 3], colours.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    return np.dstack((colours, alpha))
