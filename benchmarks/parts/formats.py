"""The formats of answers at 12 megapixels: time to write them, and their size."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from io import BytesIO

from PIL import Image

from concord.arrays import Pixels
from concord.encoding import reencoded
from concord.images import decode_image
from concord.instruments.markdown import table
from concord.limits import Limits
from concord.png import encode_png
from concord.scenes.encoded import scene_jpeg
from facade.work.pictures import DEFAULT_QUALITY, LAYERED, MEDIA_TYPES

SIZE = (4000, 3000)


@dataclass(frozen=True)
class Numbers:
    """By format milliseconds, of one picture, and megabytes. The facade makes all but PNG of Triton's PNG."""

    milliseconds: Mapping[str, float]
    megabytes: Mapping[str, float]


def measure() -> Numbers:
    width, height = SIZE
    pixels = decode_image(scene_jpeg(height, width), Limits()).pixels
    png = encode_png(pixels)
    writing: dict[str, Callable[[], bytes]] = {
        f"`{name}`": partial(reencoded, png, name, DEFAULT_QUALITY) for name in MEDIA_TYPES if name != LAYERED
    }
    writing["`png`"] = partial(encode_png, pixels)
    writing |= {f"PNG by zlib, level {level}": partial(by_zlib, pixels, level) for level in (1, 6)}
    milliseconds, megabytes = {}, {}
    for name, write in writing.items():
        began = time.perf_counter()
        megabytes[name] = len(write()) / 1e6
        milliseconds[name] = (time.perf_counter() - began) * 1000
    return Numbers(milliseconds, megabytes)


def by_zlib(pixels: Pixels, level: int) -> bytes:
    """What is not offered: no smaller, or not in time."""
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=level)
    return buffer.getvalue()


def section(numbers: Numbers) -> str:
    rows = [[name, took, numbers.megabytes[name]] for name, took in numbers.milliseconds.items()]
    return f"## Formats of answers: {SIZE[0]}x{SIZE[1]}\n\n{table(['format', 'ms', 'MB'], rows)}"
