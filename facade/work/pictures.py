"""Encoded pictures, written in the format that was asked for."""

import asyncio
import io
from functools import cache
from typing import Literal, TypeAlias

from PIL import Image

from facade.problems import Problem

Format: TypeAlias = Literal["png", "jpeg", "webp"]
"""What answers are written in: PNG as Triton gives it, without loss; JPEG and WebP lose what their quality says."""

MEDIA_TYPES: dict[Format, str] = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
DEFAULT_QUALITY = 90

_LONGEST_SIDES: dict[Format, int] = {"webp": 16_383}


def check_format(size: tuple[int, int], picture_format: Format) -> None:
    """Raises a `Problem` where the format cannot hold a picture of this width and height."""
    longest = _LONGEST_SIDES.get(picture_format)
    if longest is not None and max(size) > longest:
        raise Problem(
            "invalid_setting",
            f"{picture_format} cannot hold {size[0]}x{size[1]} pixels",
            field="format",
            allowed=f"png; or sides of at most {longest} pixels",
        )


async def encoded_picture(png: bytes, picture_format: Format, quality: int) -> bytes:
    """A PNG of our own making in the format that was asked for, its ICC profile kept; quality is 1 to 100.

    For JPEG, transparent pixels are laid on white.
    """
    return png if picture_format == "png" else await asyncio.to_thread(_reencoded, png, picture_format, quality)


def _reencoded(png: bytes, picture_format: Format, quality: int) -> bytes:
    image: Image.Image = Image.open(io.BytesIO(png), formats=("PNG",))
    profile = image.info.get("icc_profile")
    if picture_format == "jpeg" and image.mode != "RGB":
        opaque = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(opaque, image.convert("RGBA")).convert("RGB")
    buffer = io.BytesIO()
    image.save(buffer, picture_format, quality=quality, icc_profile=profile)
    return buffer.getvalue()


@cache
def tiny_picture() -> bytes:
    """The smallest picture that is worth sending, white, as PNG."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "white").save(buffer, "PNG")
    return buffer.getvalue()
