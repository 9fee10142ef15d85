"""Files within the limits of bytes and pixels that keep a plain reader busy for minutes, or take gigabytes."""

import struct
import zlib
from collections.abc import Callable, Mapping
from io import BytesIO

import numpy as np
from PIL import Image

from concord.png import encode_png
from concord.scenes.encoded import scene_jpeg

PHOTOGRAPH = scene_jpeg(48, 64)
PIXELS = encode_png(np.asarray(Image.open(BytesIO(PHOTOGRAPH))))


def comment_gif(comments: int = 1_000_000) -> bytes:
    """A picture of one pixel after so many comments of one byte."""
    head = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes(6)
    picture = b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    return head + b"!\xfe\x01a\x00" * comments + picture + b";"


def long_comment_gif(blocks: int = 200_000) -> bytes:
    """The same after one comment of so many blocks."""
    whole = comment_gif(0)
    return whole[:19] + b"!\xfe" + (b"\xff" + b"a" * 255) * blocks + b"\x00" + whole[19:]


def chunk_png(chunks: int = 1_400_000) -> bytes:
    """A picture with so many empty chunks."""
    chunk = bytes(4) + b"teXt" + struct.pack(">I", zlib.crc32(b"teXt"))
    return PIXELS[:33] + chunk * chunks + PIXELS[33:]


def profile_png(chunks: int = 5_000) -> bytes:
    """A picture with so many colour profiles of a mebibyte, packed, and damaged at the end."""
    content = b"iCCPp\0\0" + zlib.compress(bytes(2**20 - 1))[:-1]
    chunk = struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
    return PIXELS[:33] + chunk * chunks + PIXELS[33:]


def comment_jpeg(segments: int = 4_000_000) -> bytes:
    """A photograph after so many empty comments."""
    return PHOTOGRAPH[:2] + b"\xff\xfe\x00\x02" * segments + PHOTOGRAPH[2:]


def exif_jpeg(segments: int = 900) -> bytes:
    """A photograph after so many segments of Exif, which are joined one by one, and whose tags all name all of it."""
    tags = b"".join(struct.pack("<HHII", 0xC000 + tag, 7, 50_000_000, 8) for tag in range(5_000))
    content = b"II*\0" + struct.pack("<IH", 8, 5_000) + tags
    segment = b"\xff\xe1\xff\xf0Exif\0\0" + content.ljust(0xFFF0 - 8, b"\0")
    return PHOTOGRAPH[:2] + segment * segments + PHOTOGRAPH[2:]


def scan_jpeg(scans: int = 1_500, side: int = 6_324) -> bytes:
    """A grey progressive picture of so many scans, each of which says in some bytes that no block changes."""

    def segment(marker: int, content: bytes) -> bytes:
        return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content

    blocks = ((side + 7) // 8) ** 2
    runs = "0" + "1" * 14
    bits = runs * (blocks // 32_767 + 1)
    bits += "1" * (-len(bits) % 8)
    data = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\x00")
    scan = segment(0xDA, bytes([1, 1, 0, 1, 63, 0])) + data
    tables = segment(0xDB, bytes([0]) + bytes([1] * 64)) + segment(0xC4, bytes([0x10, 1, *[0] * 15, 0xE0]))
    frame = segment(0xC2, struct.pack(">BHHB", 8, side, side, 1) + bytes([1, 0x11, 0]))
    return b"\xff\xd8" + tables + frame + scan * scans + b"\xff\xd9"


def _tiff(tags: list[tuple[int, int, int, int]], size: int) -> bytes:
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    return (b"II*\0" + struct.pack("<I", 8) + directory).ljust(size, b"\1")


def number_tiff(size: int = 16 * 2**20) -> bytes:
    """A picture whose bits per sample are as many numbers as the file holds."""
    tags = [(256, 4, 1, 8), (257, 4, 1, 8), (258, 3, size // 2 - 512, 512), (259, 3, 1, 1), (262, 3, 1, 1)]
    return _tiff([*tags, (273, 4, 1, 8), (279, 4, 1, 64)], size)


def tag_tiff(size: int = 4 * 2**20) -> bytes:
    """A picture of thousands of tags, each of which is the whole file."""
    return _tiff([(0x8000 + tag, 7, size - 8, 8) for tag in range(20_000)], size)


REFUSED: Mapping[str, Callable[[], bytes]] = {
    "comment_gif": comment_gif,
    "long_comment_gif": long_comment_gif,
    "chunk_png": chunk_png,
    "profile_png": profile_png,
    "comment_jpeg": comment_jpeg,
    "exif_jpeg": exif_jpeg,
    "scan_jpeg": scan_jpeg,
    "number_tiff": number_tiff,
    "tag_tiff": tag_tiff,
}
"""Each is to be refused as too complex."""
