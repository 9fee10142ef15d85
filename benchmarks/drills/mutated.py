"""Damaged picture files of every format, each made from a good one by changes that a seed chooses."""

import random
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from io import BytesIO

from PIL import Image, features

from concord.scenes.encoded import scene_jpeg

HEIGHT, WIDTH = 48, 64
MOST_REPEATED = 2**20
EXTREMES = (0, 1, 2**7, 2**8 - 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1)


@cache
def originals() -> dict[str, bytes]:
    """Good files of one small picture, by what they are."""
    picture = Image.open(BytesIO(scene_jpeg(HEIGHT, WIDTH)))
    clear = picture.copy()
    clear.putalpha(128)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned
    kinds: dict[str, tuple[Image.Image, str, dict[str, object]]] = {
        "JPEG": (picture, "JPEG", {"exif": exif}),
        "progressive JPEG": (picture, "JPEG", {"progressive": True}),
        "PNG": (clear, "PNG", {}),
        "palette PNG": (picture.quantize(), "PNG", {"transparency": 0}),
        "GIF": (picture, "GIF", {"comment": "a picture"}),
        "WebP": (picture, "WEBP", {"exif": exif}),
        "lossless WebP": (clear, "WEBP", {"lossless": True}),
        "BMP": (picture, "BMP", {}),
        "TIFF": (picture, "TIFF", {}),
        "LZW TIFF": (picture, "TIFF", {"compression": "tiff_lzw"}),
    }
    if features.check("avif"):
        kinds["AVIF"] = (picture, "AVIF", {})
    return {name: _encoded(*kind) for name, kind in kinds.items()}


def files(number: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """So many damaged files, and what each was; as many of each kind."""
    chosen = random.Random(seed)  # noqa: S311
    kinds = list(originals().items())
    for position in range(number):
        kind, content = kinds[position % len(kinds)]
        for _ in range(chosen.choice((1, 1, 1, 2, 4))):
            change = chosen.choice(CHANGES)
            content = change(content, chosen)
        yield kind, summed(content) if chosen.random() < 0.8 else content


def flipped(content: bytes, chosen: random.Random) -> bytes:
    """Bits of it are others; more often near the start, where a file says what it is."""
    changed = bytearray(content)
    for _ in range(chosen.choice((1, 3, 10, 100))):
        if content:
            changed[_place(content, chosen) % len(content)] ^= 1 << chosen.randrange(8)
    return bytes(changed)


def cut(content: bytes, chosen: random.Random) -> bytes:
    """It ends early."""
    return content[: _place(content, chosen)]


def repeated(content: bytes, chosen: random.Random) -> bytes:
    """A part of it comes several times."""
    begin, end = sorted((_place(content, chosen), _place(content, chosen)))
    return content[:end] + (content[begin:end] * chosen.choice((1, 2, 50)))[:MOST_REPEATED] + content[end:]


def left_out(content: bytes, chosen: random.Random) -> bytes:
    """A part of it is missing."""
    begin, end = sorted((_place(content, chosen), _place(content, chosen)))
    return content[:begin] + content[end:]


def numbered(content: bytes, chosen: random.Random) -> bytes:
    """A number in it, such as a length, is as small or large as it can be."""
    place, size = _place(content, chosen), chosen.choice((1, 2, 4))
    number = (chosen.choice(EXTREMES) % (1 << 8 * size)).to_bytes(size, chosen.choice(("big", "little")))
    return content[:place] + number + content[place + size :]


def spliced(content: bytes, chosen: random.Random) -> bytes:
    """It goes on as another file."""
    other = chosen.choice(list(originals().values()))
    return content[: _place(content, chosen)] + other[_place(other, chosen) :]


def summed(content: bytes) -> bytes:
    """A PNG whose chunks have the right sums, so that a reader looks at what is in them; any other file as it is."""
    changed, at = bytearray(content), 8
    while content.startswith(b"\x89PNG") and at + 12 <= len(content):
        end = at + 8 + int.from_bytes(content[at : at + 4], "big")
        if end + 4 <= len(content):
            changed[end : end + 4] = zlib.crc32(content[at + 4 : end]).to_bytes(4, "big")
        at = end + 4
    return bytes(changed)


CHANGES: tuple[Callable[[bytes, random.Random], bytes], ...] = (flipped, cut, repeated, left_out, numbered, spliced)


def _place(content: bytes, chosen: random.Random) -> int:
    return chosen.randrange(chosen.choice((64, 512, len(content))) + 1) % (len(content) + 1)


def _encoded(picture: Image.Image, form: str, options: dict[str, object]) -> bytes:
    stream = BytesIO()
    picture.save(stream, form, **options)
    return stream.getvalue()
