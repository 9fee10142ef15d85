"""A harmonized photograph as a layered PSD file, by psd-tools (``pip install concord-client[psd]``)."""

import io
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from concord_client.composition import OUTPUT, PICTURE, Pixels
from concord_client.errors import InvalidInput

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIX = ".psd"
MAX_SIDE = 30_000
"""Longest side that the format allows, in pixels."""
INPUT, HARMONIZED = "input", "harmonized"
"""Names of the layers."""

_FOREGROUND = 128


def layered(before: Pixels, after: Pixels, mask: Pixels, icc_profile: bytes = b"") -> bytes:
    """The photograph as a layer, and over it what was harmonized, with the mask as its layer mask.

    All layers together are ``after``, bit for bit where it is opaque, and so is the preview for programs that read no
    layers. Where something changed beside the mask, the layer mask is larger by that.

    Args:
        before: the photograph, uint8 [H, W, 3] RGB or [H, W, 4] RGBA.
        after: the same, harmonized.
        mask: uint8 [H, W], 128 and above where the part is.
        icc_profile: of both; empty for none.

    Raises:
        InvalidInput: the photograph is transparent where it changes, or too large for the format.
        ValueError: the pictures differ in shape.
    """
    from PIL import Image
    from psd_tools import PSDImage
    from psd_tools.constants import Resource
    from psd_tools.psd.image_resources import ImageResource

    if before.shape != after.shape or mask.shape != before.shape[:2]:
        raise ValueError("pictures and mask have to be of one size")
    if max(mask.shape) > MAX_SIDE:
        height, width = mask.shape
        problem = f"PSD cannot hold {width}x{height} pixels"
        raise InvalidInput("invalid_setting", "FORMAT", problem, f"png; or sides of at most {MAX_SIDE} pixels")
    shown = (mask >= _FOREGROUND) | (before != after).any(axis=2)
    if before.shape[2] == 4:
        opaque = before[..., 3] == 255
        if (before != after)[~opaque].any():
            problem = "the photograph is transparent where it changes; no layer over it gives that"
            raise InvalidInput(
                "invalid_setting", OUTPUT.name, problem, f"{PICTURE}, or a photograph that is opaque there"
            )
        shown &= opaque
    rows, columns = _bounds(shown)
    preview = Image.fromarray(after)
    if preview.mode == "RGBA":
        # A preview is seen on white.
        white = Image.alpha_composite(Image.new("RGBA", preview.size, "white"), preview)
        white.putalpha(preview.getchannel("A"))
        preview = white
    psd = PSDImage.frompil(preview)
    psd.create_pixel_layer(Image.fromarray(before), INPUT)
    part = np.ascontiguousarray(after[rows, columns])
    if part.shape[2] == 4:
        part[..., 3] = 255
    layer = psd.create_pixel_layer(Image.fromarray(part), HARMONIZED, rows.start, columns.start)
    layer.create_mask(Image.fromarray(shown[rows, columns] * np.uint8(255)))
    if icc_profile:
        psd.image_resources[Resource.ICC_PROFILE] = ImageResource(key=Resource.ICC_PROFILE, data=icc_profile)
    file = io.BytesIO()
    # Its `save` would draw the preview anew from the layers, in floats, which takes gigabytes.
    psd._record.write(file)
    return file.getvalue()


def layered_file(photograph: bytes, harmonized: bytes, mask: bytes) -> bytes:
    """The same from encoded pictures; the mask may be of any kind that the server takes.

    Raises:
        InvalidInput: as `layered`; or the photograph or mask is of a kind that is not read here.
    """
    from PIL import Image

    result = Image.open(io.BytesIO(harmonized))
    profile: bytes = result.info.get("icc_profile") or b""
    after = np.asarray(result)
    before = _upright(photograph, "IMAGE").convert(result.mode)
    found = _upright(mask, "MASK")
    if found.has_transparency_data:
        found = Image.alpha_composite(Image.new("RGBA", found.size, "black"), found.convert("RGBA"))
    return layered(np.asarray(before), after, np.asarray(found.convert("L")), profile)


def _upright(encoded: bytes, field: str) -> "Image":
    from PIL import Image, ImageOps

    try:
        import pi_heif

        pi_heif.register_heif_opener()
    except ImportError:
        pass
    try:
        image = Image.open(io.BytesIO(encoded))
        return ImageOps.exif_transpose(image)
    except Exception as error:
        raise InvalidInput("unsupported_image", field, "cannot be read here for a PSD", "JPEG or PNG") from error


def _bounds(inside: npt.NDArray[np.bool_]) -> tuple[slice, slice]:
    """Rows and columns of what is inside; of one pixel where nothing is."""
    found = [np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0)]
    first = [slice(int(places[0]), int(places[-1]) + 1) if len(places) else slice(0, 1) for places in found]
    return first[0], first[1]
