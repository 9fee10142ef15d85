"""The boxes of an HEIF or AVIF file (ISO/IEC 14496-12 and 23008-12), as far as they say what it takes to decode it."""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_AVIF = {b"avif", b"avis"}
_META, _PROPERTIES = (b"meta", b"iprp"), b"ipco"
_FULL = 4  # bytes of version and flags
_LUMA = 17  # byte of `hvcC` with the depth of luma less 8


@dataclass(frozen=True)
class Boxes:
    """What a file says of its pictures.

    Attributes:
        is_avif: by its brands.
        is_sequence: it has a track, which is an animation or a video.
        size: width and height of its largest picture, tiles and thumbnails among them; 0 where it does not say.
        bits: most bits a channel.
    """

    is_avif: bool
    is_sequence: bool = False
    size: tuple[int, int] = (0, 0)
    bits: int = 8

    @classmethod
    def of(cls, encoded: bytes, add: Callable[[str, int], None]) -> "Boxes":
        """Reads a file that begins with `ftyp`; ``add`` is told of each box, and of the bytes of metadata."""
        sizes, bits, is_sequence, is_avif = [(0, 0)], [8], False, False
        places = [(0, len(encoded))]
        while places:
            for kind, start, stop in _boxes(encoded, *places.pop()):
                add("parts", 1)
                content = encoded[start : min(stop, start + 64)]
                if kind == b"ftyp":
                    is_avif = not _AVIF.isdisjoint(content[at : at + 4] for at in range(0, len(content), 4))
                elif kind == b"moov":
                    is_sequence = True
                elif kind == b"ispe":
                    sizes.append(struct.unpack_from(">II", content, _FULL))
                elif kind == b"av1C":
                    bits.append(8 if not content[2] & 0x40 else 12 if content[2] & 0x20 else 10)
                elif kind == b"hvcC":
                    bits.append(8 + (content[_LUMA] & 7))
                elif kind in _META or kind == _PROPERTIES:
                    if kind == b"meta":
                        add("bytes of metadata", stop - start)
                        start += _FULL
                    places.append((start, stop))
        return cls(is_avif, is_sequence, max(sizes, key=lambda size: size[0] * size[1]), max(bits))


def _boxes(encoded: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, and first and last byte of the content, of each box between these bytes."""
    while at + 8 <= end:
        size, kind = struct.unpack_from(">I4s", encoded, at)
        start = at + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", encoded, start)
            start += 8
        stop = at + size if size else end
        if stop < start:
            raise struct.error("a box that is shorter than its head")
        yield kind, start, min(stop, end)
        at = stop
