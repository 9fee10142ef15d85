"""Encoded images to pixels, by Pillow, which knows every format, and the pixels of a plain JPEG by libjpeg-turbo."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import cv2
import numpy as np
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from concord.arrays import Pixels
from concord.decoding import decoded_apart
from concord.errors import ImageTooLarge, InvalidImage, UnsupportedImage
from concord.jpeg import decode_jpeg
from concord.limits import MAX_SIDE, Limits
from concord.outline import Outline
from concord.png import encode_png

# Only these, so that Pillow's less common readers (one of them starts Ghostscript) never see a client's bytes.
FORMATS = ("JPEG", "PNG", "WebP", "BMP", "TIFF", "GIF", "HEIC", "AVIF")
"""What is read."""
FORMATS_IN_WORDS = f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
_JPEGS = ("JPEG", "MPO")
_IMAGE_FILE = f"an image file: {', '.join(FORMATS)}"
_KINDS = "RGB, grey or palette, with or without transparency, 8 bits a channel"

_HEIF = "HEIF"
_APART = (_HEIF, "AVIF")
"""Formats whose readers begin with all metadata: they only run where they can be killed."""

_UNSUPPORTED_MODES = {
    "CMYK": "CMYK",
    "LAB": "LAB",
    "YCbCr": "YCbCr",
    "HSV": "HSV",
    "I": "32 bits a channel",
    "F": "floating-point pixels",
}
_TIFF_BITS_PER_SAMPLE = 258
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_TURNED: Mapping[int, Callable[[Pixels], Any]] = {
    2: partial(cv2.flip, flipCode=1),
    3: partial(cv2.rotate, rotateCode=cv2.ROTATE_180),
    4: partial(cv2.flip, flipCode=0),
    5: cv2.transpose,
    6: partial(cv2.rotate, rotateCode=cv2.ROTATE_90_CLOCKWISE),
    7: lambda pixels: cv2.rotate(cv2.transpose(pixels), cv2.ROTATE_180),
    8: partial(cv2.rotate, rotateCode=cv2.ROTATE_90_COUNTERCLOCKWISE),
}
"""The same of pixels."""
_PACKED_EXIF = "Raw profile type exif"
_MAX_PACKED_EXIF = 2 * 2**16  # characters, in hexadecimal


@dataclass(frozen=True)
class DecodedImage:
    """An image as it is meant to be seen.

    Attributes:
        pixels: uint8 [H, W, 3] RGB, or [H, W, 4] RGBA (not premultiplied) where the file has transparency; read-only.
        icc_profile: the RGB profile of the pixels; empty if there is none.
    """

    pixels: Pixels
    icc_profile: bytes


@dataclass(frozen=True)
class Header:
    """What a file says of itself, within the limits.

    Attributes:
        size: width and height in pixels, as they are stored.
        format: Pillow's name of it.
        image: of which nothing is decoded yet; None where only the process that decodes it reads even its header.
    """

    size: tuple[int, int]
    format: str
    image: ImageFile.ImageFile | None = None
    is_cheap: bool = False


def decode_image(encoded: bytes, limits: Limits) -> DecodedImage:
    """Decodes an image and applies its EXIF orientation.

    Grey, 1-bit and palette images become RGB. A grey profile is dropped: it does not describe RGB pixels.

    Raises:
        InvalidImage: empty, no image, damaged or truncated.
        UnsupportedImage: another colour model than RGB or grey, more than 8 bits a channel, animated, several pages,
            or a video.
        ImageTooLarge: over the limits, as its header says; nothing was decoded.
        TooComplex: it has too many parts, or takes too much time or memory.
    """
    header = read_header(encoded, limits, "IMAGE")
    image = header.image
    if image is None or not header.is_cheap:
        return _decoded(_apart(encoded, limits, "IMAGE"))
    if image.format in _JPEGS and image.mode == "RGB":
        pixels = decode_jpeg(encoded, image.height, image.width)
        if pixels is not None:
            turn = _TURNED.get(_orientation(image))
            return DecodedImage(pixels if turn is None else turn(pixels), _profile(image))
    return _decoded(_loaded(image, "IMAGE"))


def cheap_file(encoded: bytes, limits: Limits, field: str) -> bytes:
    """A file of the same picture that is cheap to decode: the same, or a PNG; errors as in ``decode_image``.

    It is the same, too, where the PNG would be larger than the limits allow.
    """
    if read_header(encoded, limits, field).is_cheap:
        return encoded
    png = decoded_apart(encoded, limits, field)
    return png if len(png) <= limits.max_bytes else encoded


def plain_png(encoded: bytes, limits: Limits, field: str) -> bytes:
    """The picture, upright, as PNG, whatever that takes; errors as in ``decode_image``."""
    header = read_header(encoded, limits, field)
    image = _loaded(header.image or _opened(encoded, header.format, limits, field), field)
    # Some readers find out only now how large it is.
    _check_size(image.size, limits, field)
    decoded = _decoded(image)
    return encode_png(decoded.pixels, decoded.icc_profile)


def _decoded(image: Image.Image) -> DecodedImage:
    mode = "RGBA" if image.has_transparency_data else "RGB"
    return DecodedImage(np.asarray(image if image.mode == mode else image.convert(mode)), _profile(image))


def _profile(image: Image.Image) -> bytes:
    """The profile of RGB pixels."""
    profile: bytes = image.info.get("icc_profile") or b""
    return profile if profile[16:20] == b"RGB " and profile[36:40] == b"acsp" else b""


def open_image(encoded: bytes, limits: Limits, field: str) -> Image.Image:
    """Decodes to an upright Pillow image of mode 1, L, LA, P, PA, RGB, RGBX or RGBA; errors as in ``decode_image``.

    Of an MPO file, the JPEG of many phones, the first picture is taken. ``field`` is the input's name in errors.
    """
    header = read_header(encoded, limits, field)
    if header.image is not None and header.is_cheap:
        return _loaded(header.image, field)
    return _apart(encoded, limits, field)


def _apart(encoded: bytes, limits: Limits, field: str) -> Image.Image:
    png = io.BytesIO(decoded_apart(encoded, limits, field))
    return _loaded(Image.open(png, formats=["PNG"]), field)


def _loaded(image: ImageFile.ImageFile, field: str) -> Image.Image:
    """The picture, upright."""
    try:
        image.load()
    except MemoryError:
        raise
    except Exception as error:
        raise InvalidImage(field, "damaged or truncated image", "a complete image file") from error
    orientation = _orientation(image)
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


def read_header(encoded: bytes, limits: Limits, field: str) -> Header:
    """What a file says of itself, checked against the limits before a pixel is decoded; errors as in ``open_image``.

    Takes some milliseconds of some files, so that it is not for an event loop.
    """
    if not encoded:
        raise InvalidImage(field, "empty", _IMAGE_FILE)
    if len(encoded) > limits.max_bytes:
        raise ImageTooLarge(field, f"{len(encoded)} bytes", f"at most {limits.max_bytes} bytes")
    outline = Outline.of(encoded, field)
    if outline.is_sequence:
        raise _several_frames(field)
    if outline.format in _APART:
        if outline.size == (0, 0):
            raise InvalidImage(field, "not a readable image", _IMAGE_FILE)
        _check_size(outline.size, limits, field)
        _check_bits(outline.bits, field)
        return Header(outline.size, outline.format)
    image = _opened(encoded, outline.format, limits, field)
    return Header(image.size, outline.format, image, outline.is_cheap)


def _opened(encoded: bytes, file_format: str, limits: Limits, field: str) -> ImageFile.ImageFile:
    """The picture, found to be within the limits, of which nothing is decoded yet."""
    try:
        if not file_format:
            raise UnidentifiedImageError
        if file_format == _HEIF:
            _learn_heif()
        image = Image.open(io.BytesIO(encoded), formats=[file_format])
        # MPO, which Pillow's JPEG reader finds by itself, is a photograph followed by its depth map or a second view.
        # Of a GIF, Pillow would look for the second frame through all that its outline has found to be none.
        several_frames = image.format not in ("MPO", "GIF") and bool(getattr(image, "is_animated", False))
        bits = _bits_per_channel(image)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageTooLarge(field, "too many pixels", f"at most {limits.max_pixels} pixels") from None
    except Exception as error:
        if encoded[4:8] == b"ftyp" and not file_format:
            raise UnsupportedImage(field, "a video, or a rare kind of HEIF", _IMAGE_FILE) from error
        raise InvalidImage(field, "not a readable image", _IMAGE_FILE) from error
    _check_size(image.size, limits, field)
    if image.mode in _UNSUPPORTED_MODES:
        raise UnsupportedImage(field, f"{_UNSUPPORTED_MODES[image.mode]} image", _KINDS)
    _check_bits(bits, field)
    if several_frames:
        raise _several_frames(field)
    return image


@cache
def _learn_heif() -> None:
    # Here, since each process of a server's models would wait for it.
    import pi_heif

    pi_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=1)


def _check_size(size: tuple[int, int], limits: Limits, field: str) -> None:
    width, height = size
    if min(width, height) < 1:
        raise InvalidImage(field, f"an image of {width}x{height} pixels", "at least 1x1 pixel")
    if width * height > limits.max_pixels:
        raise ImageTooLarge(field, f"{width}x{height} pixels", f"at most {limits.max_pixels} pixels")
    if max(width, height) > MAX_SIDE:
        raise ImageTooLarge(field, f"{width}x{height} pixels", f"sides of at most {MAX_SIDE} pixels")


def _check_bits(bits: int, field: str) -> None:
    if bits > 8:
        raise UnsupportedImage(field, f"{bits} bits a channel", _KINDS)


def _several_frames(field: str) -> UnsupportedImage:
    return UnsupportedImage(field, "an animation, or several pages", "a single picture")


def _bits_per_channel(image: ImageFile.ImageFile) -> int:
    # Pillow reads colours of 16 bits as 8 without a word, so the mode alone does not tell.
    if image.mode.startswith("I;16") or (image.format == "PNG" and any(";16" in str(tile.args) for tile in image.tile)):
        return 16
    if image.format == "TIFF":
        return max(image.tag_v2.get(_TIFF_BITS_PER_SAMPLE, (1,)))  # type: ignore[attr-defined, no-any-return]
    return 8


def _orientation(image: Image.Image) -> int:
    if len(image.info.get(_PACKED_EXIF, "")) > _MAX_PACKED_EXIF:
        # Pillow would read what its tags name, again and again.
        del image.info[_PACKED_EXIF]
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:
        # Damaged metadata is no reason to refuse a picture that can be seen.
        return 1
