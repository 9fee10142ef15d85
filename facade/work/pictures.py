"""Encoded pictures, written in the format that was asked for."""

import asyncio
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal, TypeAlias

from PIL import Image

from concord.encoding import PSD, encoder_apart, reencoded
from concord.layers import layered_psd, packed
from concord_client.composition import LAYER, OUTPUT
from concord_client.psd import MAX_SIDE, SUFFIX
from facade.problems import Problem
from facade.work.lane import Lane

Format: TypeAlias = Literal["png", "jpeg", "webp", "webp-lossless", "psd"]
"""What answers are written in: PNG as Triton gives it, without loss; JPEG and WebP lose what their quality says; PSD
has the photograph and the mask, too.
"""
LAYERED: Format = PSD

FORMATS_IN_WORDS = (
    "png, the soonest, and webp-lossless keep every pixel outside the part; jpeg and webp lose detail; psd has layers: "
    "the photograph, and what was harmonized with its mask"
)
MEDIA_TYPES: dict[Format, str] = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "webp-lossless": "image/webp",
    "psd": "image/vnd.adobe.photoshop",
}
SUFFIXES: dict[Format, str] = {"png": ".png", "jpeg": ".jpg", "webp": ".webp", "webp-lossless": ".webp", "psd": SUFFIX}
DEFAULT_QUALITY = 90

_CHEAP_PIXELS = {"jpeg": 8_000_000, "webp": 2_000_000, "webp-lossless": 4_000_000, "psd": 4_000_000}
"""The most that is encoded in place, which takes a second at most."""

_APART_AT_A_TIME = 2
_LONGEST_SIDES: dict[Format, int] = {"webp": 16_383, "webp-lossless": 16_383, "psd": MAX_SIDE}


_KEEPS_LAYERS: frozenset[Format] = frozenset({"png", "webp-lossless"})


@dataclass(frozen=True)
class Original:
    """What a layered file needs besides an answer: the photograph and the mask, encoded and cheap to decode."""

    photograph: bytes
    mask: bytes


def check_output(settings: Mapping[str, object], picture_format: Format) -> None:
    """Raises a `Problem` where a layer is asked for in a format that would not keep it."""
    if settings.get(OUTPUT.public_name) == LAYER and picture_format not in _KEEPS_LAYERS:
        problem = f"{picture_format} does not keep a layer as it is"
        raise Problem("invalid_setting", problem, field="format", allowed=", ".join(sorted(_KEEPS_LAYERS)))


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


class Encoder:
    """Writes pictures in other formats: in a thread, or in a process that can be killed where they are large."""

    def __init__(self) -> None:
        self._in_place, self._apart = Lane(os.cpu_count() or 1), Lane(_APART_AT_A_TIME)

    async def encoded(
        self, png: bytes, picture_format: Format, quality: int, holder: str, original: Original | None = None
    ) -> bytes:
        """A PNG of our own making in the format that was asked for, its ICC profile kept; quality is 1 to 100.

        For JPEG, transparent pixels are laid on white. The holder is that of the key that the request came with. PSD
        needs the original.

        Raises:
            TooComplex: it takes more time or memory than it may use.
            InvalidSetting: the photograph is transparent where it changes, which layers cannot give.
        """
        if picture_format == "png":
            return png
        pixels = pixels_of(png)
        if picture_format == LAYERED:
            assert original is not None
            png = packed(png, original.photograph, original.mask)
        if pixels <= _CHEAP_PIXELS[picture_format]:
            async with self._in_place.place(holder):
                if picture_format == LAYERED:
                    return await asyncio.to_thread(layered_psd, png)
                return await asyncio.to_thread(reencoded, png, picture_format, quality)
        encode = encoder_apart(pixels)
        async with self._apart.place(holder):
            try:
                return await asyncio.to_thread(encode, png, "format", picture_format, quality)
            finally:
                encode.kill()


def pixels_of(picture: bytes) -> int:
    """Width x height of an encoded picture of our own."""
    width, height = Image.open(io.BytesIO(picture)).size
    return width * height


def shown_format(picture: bytes) -> Format | None:
    """Of an encoded picture, by its first bytes; None where not every browser would show it."""
    if picture[:4] == b"RIFF" and picture[8:12] == b"WEBP":
        return "webp"
    starts: dict[Format, bytes] = {"png": b"\x89PNG\r\n\x1a\n", "jpeg": b"\xff\xd8\xff"}
    return next((kind for kind, start in starts.items() if picture.startswith(start)), None)


@cache
def tiny_picture() -> bytes:
    """The smallest picture that is worth sending, as PNG; half black and half white, since it is a mask, too."""
    buffer = io.BytesIO()
    picture = Image.new("RGB", (8, 8))
    picture.paste("white", (0, 0, 4, 8))
    picture.save(buffer, "PNG")
    return buffer.getvalue()
