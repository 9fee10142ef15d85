"""The outline of an encoded image: what it is made of, found in bounded time, without decoding anything.

Codecs and Pillow's readers of headers take minutes for some small files: a JPEG of thousands of scans, a GIF of as many
comments. They only see files whose outline is within ``MAX_COUNTS``.
"""

import re
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from concord.boxes import Boxes
from concord.errors import TooComplex
from concord.limits import CHEAP_COUNTS, MAX_COUNTS

_EXIF = b"Exif\0\0"
_JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_JPEG_WITHOUT_LENGTH = {0x01, 0xC8, *range(0xD0, 0xDA), *range(0xF0, 0xFE)}
_SOS, _EOI, _APP1, _APP2, _APP13 = 0xDA, 0xD9, 0xE1, 0xE2, 0xED
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)
_WINDOW = 2**20  # bytes searched at once: the interpreter is not released meanwhile
_PACKED = {b"iCCP", b"iTXt", b"zTXt"}
_PACKED_PARTS = 10  # that a chunk counts for which is unpacked, to at most a mebibyte
_TIFF_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}
_TIFF_OPAQUE = {1, 2, 7}  # types whose values Pillow leaves as they are


@dataclass(frozen=True)
class Outline:
    """What a file says of itself, as far as that bounds the work of reading it; it may still be damaged.

    Attributes:
        format: Pillow's name of the format; empty for one that Concord does not read.
        is_cheap: decoding takes time and memory in proportion to its pixels and bytes, and not much of them.
        is_sequence: a GIF, PNG or WebP of several frames; what follows the second is not looked at. Or an AVIF or HEIF
            with a track.
        size: width and height of the largest picture in an HEIF or AVIF; (0, 0) where that is not found.
        bits: a channel, of these.
    """

    format: str
    is_cheap: bool = True
    is_sequence: bool = False
    size: tuple[int, int] = (0, 0)
    bits: int = 8

    @classmethod
    def of(cls, encoded: bytes, field: str) -> "Outline":
        """Raises TooComplex where a file is over a limit; ``field`` is the input's name in the message."""
        count = _Count(field)
        for prefix, name, look in _FORMATS:
            if prefix.match(encoded):
                try:
                    return look(encoded, count)
                except (IndexError, struct.error):
                    # It ends early: all that there is was counted, and its decoder says what is missing.
                    return cls(name, is_cheap=False)
        return cls("")


class _Count:
    """Counts what a file has."""

    def __init__(self, field: str) -> None:
        self._field = field
        self._counted = Counter[str]()

    def add(self, kind: str, number: int = 1) -> None:
        self._counted[kind] += number
        if self._counted[kind] > MAX_COUNTS[kind]:
            raise TooComplex(self._field, f"too many {kind}", f"at most {MAX_COUNTS[kind]} {kind}")

    @property
    def is_cheap(self) -> bool:
        return all(self._counted[kind] <= most for kind, most in CHEAP_COUNTS.items())


def _jpeg(encoded: bytes, count: _Count) -> Outline:
    at, components, is_sequential = 2, 0, False
    exif, views = bytearray(), b""
    while (found := encoded.find(b"\xff", at)) >= 0:
        # Bytes between segments are read one by one.
        count.add("parts", 1 + found - at)
        at, marker = found + 2, encoded[found + 1]
        if marker == 0xFF:
            at -= 1
        if marker in (0x00, 0xFF) or marker in _JPEG_WITHOUT_LENGTH:
            continue
        length = max(2, int.from_bytes(encoded[at : at + 2], "big"))
        content = encoded[at + 2 : at + length]
        at += length
        if marker == _SOS:
            break
        count.add("bytes of metadata", length)
        if marker in _JPEG_FRAMES:
            components, is_sequential = content[5], marker in (0xC0, 0xC1)
        elif marker == _APP1 and content.startswith(_EXIF):
            count.add("segments of Exif or Photoshop")
            exif += content[len(_EXIF) :] if exif else content
        elif marker == _APP13:
            count.add("segments of Exif or Photoshop")
        elif marker == _APP2 and content.startswith(b"MPF\0"):
            views = content[4:]
    _exif(bytes(exif), count)
    _exif(views, count)
    if found >= 0 and not (is_sequential and content[0] == components):
        _scans(encoded, at, count)
    return Outline("JPEG", count.is_cheap)


def _scans(encoded: bytes, at: int, count: _Count) -> None:
    """Counts a JPEG's scans; the data of the first one begins at this byte."""
    count.add("scans")
    while at < len(encoded):
        found = _AFTER_SCAN.search(encoded, at, at + _WINDOW)
        if found is None:
            # One byte less, since a marker has two.
            at += _WINDOW - 1
            continue
        at, marker = found.end(), found[0][1]
        if marker == _EOI:
            return
        count.add("scans" if marker == _SOS else "parts")
        if marker != 0x01:
            at += max(2, int.from_bytes(encoded[at : at + 2], "big"))


def _png(encoded: bytes, count: _Count) -> Outline:
    at, kind = 8, b""
    while at + 8 <= len(encoded) and kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", encoded, at)
        if kind == b"IDAT":
            count.add("blocks of data")
        else:
            count.add("parts", _PACKED_PARTS if kind in _PACKED else 1)
            count.add("bytes of metadata", min(length, len(encoded) - at))
            if kind == b"acTL" and struct.unpack_from(">I", encoded, at + 8)[0] > 1:
                return Outline("PNG", is_sequence=True)
            if kind == b"eXIf":
                _exif(encoded[at + 8 : at + 8 + length], count)
        at += 12 + length
    return Outline("PNG", count.is_cheap)


def _gif(encoded: bytes, count: _Count) -> Outline:
    at = 13 + _colours(encoded[10])
    is_seen = False
    while at < len(encoded):
        count.add("parts")
        kind, at = encoded[at], at + 1
        if kind == 0x21:
            # The blocks of a comment are joined one by one.
            is_comment = encoded[at] == 0xFE
            at = _after_blocks(encoded, at + 1, "parts" if is_comment else "blocks of data", count)
        elif kind == 0x2C:
            if is_seen:
                return Outline("GIF", is_sequence=True)
            is_seen = True
            at = _after_blocks(encoded, at + 10 + _colours(encoded[at + 8]), "blocks of data", count)
        elif kind == 0x3B or (is_seen and kind):
            break
    return Outline("GIF", count.is_cheap)


def _colours(flags: int) -> int:
    """Bytes of the table of colours that these flags of a GIF announce."""
    return 6 << (flags & 7) if flags & 0x80 else 0


def _after_blocks(encoded: bytes, at: int, kind: str, count: _Count) -> int:
    while size := encoded[at]:
        count.add(kind)
        at += 1 + size
    return at + 1


def _webp(encoded: bytes, count: _Count) -> Outline:
    at, kinds = 12, Counter[bytes]()
    while at + 8 <= len(encoded):
        kind, size = struct.unpack_from("<4sI", encoded, at)
        kinds[kind] += 1
        if kinds[b"ANMF"] > 1:
            return Outline("WEBP", is_sequence=True)
        count.add("parts")
        if kind == b"EXIF":
            count.add("bytes of metadata", size)
            _exif(encoded[at + 8 : at + 8 + size], count)
        at += 8 + size + size % 2
    # Without loss, a small file can ask for a gigabyte of tables.
    return Outline("WEBP", is_cheap=not kinds.keys() & {b"VP8L", b"ALPH", b"ANMF"})


def _tiff(encoded: bytes, count: _Count) -> Outline:
    _directory(encoded, count)
    return Outline("TIFF", is_cheap=False)


def _bmp(encoded: bytes, _count: _Count) -> Outline:
    header, compression = struct.unpack_from("<I12xI", encoded, 14)
    # Pillow expands runs in Python.
    return Outline("BMP", is_cheap=header == 12 or compression in (0, 3))


def _heif(encoded: bytes, count: _Count) -> Outline:
    boxes = Boxes.of(encoded, count.add)
    return Outline("AVIF" if boxes.is_avif else "HEIF", False, boxes.is_sequence, boxes.size, boxes.bits)


def _exif(exif: bytes, count: _Count) -> None:
    while exif.startswith(_EXIF):
        count.add("parts")
        exif = exif[len(_EXIF) :]
    if exif:
        try:
            _directory(exif, count)
        except (IndexError, struct.error):
            return


def _directory(tiff: bytes, count: _Count) -> None:
    """Counts the first directory of a TIFF file or of what is made like one; its tags may all name the same bytes."""
    order = ">" if tiff.startswith(b"MM") else "<"
    offset, number, tag = ("8xQ", "Q", "2xHQ8x") if tiff[2] == 43 else ("4xI", "H", "2xHI4x")
    (at,) = struct.unpack_from(order + offset, tiff)
    (tags,) = struct.unpack_from(order + number, tiff, at)
    at += struct.calcsize(order + number)
    for _ in range(tags):
        kind, values = struct.unpack_from(order + tag, tiff, at)
        count.add("parts")
        count.add("bytes of metadata", values * _TIFF_BYTES.get(kind, 0))
        if kind not in _TIFF_OPAQUE:
            count.add("numbers in tags", values)
        at += struct.calcsize(order + tag)


_Look = Callable[[bytes, _Count], Outline]
_FORMATS: tuple[tuple[re.Pattern[bytes], str, _Look], ...] = (
    (re.compile(rb"\xff\xd8\xff"), "JPEG", _jpeg),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "PNG", _png),
    (re.compile(rb"RIFF.{4}WEBPVP8[ LX]", re.DOTALL), "WEBP", _webp),
    (re.compile(rb"BM"), "BMP", _bmp),
    (re.compile(rb"II[*+]\0|MM\0[*+]|MM\*\0|II\0\*"), "TIFF", _tiff),
    (re.compile(rb"GIF8[79]a"), "GIF", _gif),
    (re.compile(rb".{4}ftyp(?:avi[fs]|he[iv][cmsx]|mif1|msf1)", re.DOTALL), "HEIF", _heif),
)
