"""Small pictures made here, encoded in the ways that photographs come."""

import io
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms


def photograph(width: int, height: int, channels: int = 3) -> NDArray[np.uint8]:
    """Smooth colour with some grain: uint8 [height, width, channels]."""
    random = np.random.default_rng(width * 10007 + height)
    coarse = random.integers(0, 256, (4, 4, channels)).astype(np.uint8)
    planes = [
        Image.fromarray(coarse[..., c]).resize((width, height), Image.Resampling.BICUBIC) for c in range(channels)
    ]
    grain = random.integers(-6, 7, (height, width, channels))
    return np.clip(np.stack([np.asarray(plane) for plane in planes], axis=2) + grain, 0, 255).astype(np.uint8)


def middle(width: int, height: int) -> NDArray[np.uint8]:
    """A mask of the middle of a picture, at least one pixel."""
    mask = np.zeros((height, width), np.uint8)
    mask[height // 4 : max(height // 4 + 1, 3 * height // 4), width // 4 : max(width // 4 + 1, 3 * width // 4)] = 255
    return mask


def encoded(pixels: NDArray[np.uint8] | Image.Image, form: str = "PNG", **options: object) -> bytes:
    """A picture as the bytes of a file."""
    if not isinstance(pixels, Image.Image):
        pixels = Image.fromarray(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels)
    buffer = io.BytesIO()
    pixels.save(buffer, form, **options)
    return buffer.getvalue()


def decoded(file: bytes) -> NDArray[np.uint8]:
    """The pixels of a file."""
    return np.asarray(Image.open(io.BytesIO(file)))


@cache
def srgb_profile() -> bytes:
    """An ICC profile as cameras embed it; the same each time, though it holds the time it was made."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
