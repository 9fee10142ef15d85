"""Writes a PNG in another format, in place or in a process of its own."""

import io
from typing import Final

from PIL import Image

from concord.apart import Apart, Bounds
from concord.limits import ENCODING_BYTES, ENCODING_BYTES_PER_PIXEL, ENCODING_PATIENCE, ENCODING_SECONDS
from concord.png import decode_png

PSD: Final = "psd"
"""The format that is written by `concord.layers`."""
_WITHOUT_LOSS = {
    "webp-lossless": ("webp", {"lossless": True, "exact": True, "method": 0, "quality": 0}),
}
"""By format what its file is, and how it is written: the soonest, a fifth smaller than the PNG."""


def reencoded(png: bytes, picture_format: str, quality: int) -> bytes:
    """A PNG as ``jpeg`` or ``webp`` of a quality of 1 to 100, or ``webp-lossless``; its ICC profile is kept.

    For JPEG, transparent pixels are laid on white.
    """
    try:
        pixels, profile = decode_png(png)
        image = Image.fromarray(pixels)
    except ValueError:  # of another version, on a server elsewhere
        image = Image.open(io.BytesIO(png), formats=("PNG",))
        profile = image.info.get("icc_profile", b"")
    if picture_format == "jpeg" and image.mode != "RGB":
        opaque = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(opaque, image.convert("RGBA")).convert("RGB")
    buffer = io.BytesIO()
    kind, options = _WITHOUT_LOSS.get(picture_format, (picture_format, {"quality": quality}))
    image.save(buffer, kind, icc_profile=profile or None, **options)
    return buffer.getvalue()


def encoder_apart(pixels: int) -> Apart:
    """A process that does the same with a picture of so many pixels; its arguments are the format and the quality."""
    memory = ENCODING_BYTES + ENCODING_BYTES_PER_PIXEL * pixels
    return Apart("concord.encoding_worker", "encode", Bounds(ENCODING_SECONDS, ENCODING_PATIENCE, memory))
