"""Writes a harmonized photograph as layers, in place or in a process of its own."""

import struct
from collections.abc import Iterator

from concord.errors import InvalidSetting
from concord.images import decode_image
from concord.limits import HIGHEST_MAX_PIXELS, Limits
from concord.masks import decode_mask
from concord.png import decode_png
from concord_client.errors import InvalidInput
from concord_client.psd import layered

# What is written here has been read within the caller's own limits.
_READ = Limits(HIGHEST_MAX_PIXELS, 2**31 - 1)
_LENGTH = struct.Struct(">Q")


def packed(*files: bytes) -> bytes:
    """Files as one, for the way to another process."""
    return b"".join(part for file in files for part in (_LENGTH.pack(len(file)), file))


def layered_psd(content: bytes) -> bytes:
    """The PSD of an answer's PNG, its photograph and its mask, which come `packed`; see `concord_client.psd`.

    Raises:
        InvalidSetting: the format cannot hold it, or no layer gives the change.
        ConcordError: photograph or mask cannot be read.
    """
    png, photograph, mask = _unpacked(content)
    after, profile = decode_png(png)
    before, (height, width) = decode_image(photograph, _READ).pixels, after.shape[:2]
    try:
        return layered(before, after, decode_mask(mask, height, width, _READ), profile)
    except InvalidInput as error:
        raise InvalidSetting(error.field, error.problem, error.allowed) from None


def _unpacked(content: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(content):
        (size,) = _LENGTH.unpack_from(content, at)
        at += _LENGTH.size + size
        yield content[at - size : at]
