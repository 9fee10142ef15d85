"""``concord mask``: a mask of a shape, without a picture editor."""

import argparse
import sys
from pathlib import Path

import cv2

from concord import shapes
from concord.arrays import Pixels
from concord.errors import ConcordError
from concord.images import open_image
from concord.limits import Limits
from concord.masks import decode_mask, encode_mask
from concord.noise import MAX_SEED
from concord_client.atomic_file import write_atomically
from concord_client.client import Client
from concord_client.commands import ExitCode, UsageError
from concord_client.commands.flags import add_connection_arguments, numbers, read_connection

HELP = "make a mask of a shape: rectangle, ellipse, polygon, stroke, or the box of what words name"
DESCRIPTION = f"""\
Writes a mask of a shape, or makes the edge of one that is there uneven: a network that edits a picture shows the edge
of a mask that is too regular.

  concord mask --like photo.jpg --shape rectangle --box 40,60,200,180 -o mask.png
  concord mask --size 640x480 --shape polygon --points 30,30,220,60,120,230 --irregular 7 -o mask.png
  concord mask --size 640x480 --shape stroke --points 30,30,220,60 --thickness 24 -o mask.png
  concord mask --like photo.jpg --shape box-from-text --text "the teddy bear" --irregular 7 -o mask.png
  concord mask --mask drawn.png --irregular 7 --roughness 0.2 -o mask.png

Numbers are pixels of the upright picture, from its left and its top. --irregular takes a seed: the same one gives the
same edge. --roughness is how far it moves at most, as a share of the part's thickness, 0 to {shapes.MOST_ROUGHNESS}.
Only box-from-text asks a server."""

_BOXED = {"rectangle": shapes.rectangle, "ellipse": shapes.ellipse}
_POINTED = {"polygon": 3, "stroke": 1}
_WORDS = "box-from-text"
_MOST_POINTS = 4096
_MOST_THICKNESS = 32767  # OpenCV's


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the flags."""
    size = parser.add_mutually_exclusive_group(required=True)
    size.add_argument("--like", metavar="FILE", type=Path, help="a picture whose size the mask has")
    size.add_argument("--size", metavar="WxH", type=_size, help="width and height in pixels")
    size.add_argument("--mask", metavar="FILE", type=Path, help="a mask that is there, whose edge is made uneven")
    parser.add_argument("--shape", choices=(*_BOXED, *_POINTED, _WORDS), help="what is masked")
    parser.add_argument("--box", metavar="NUMBERS", type=numbers, help=f"of {' and '.join(_BOXED)}: x0,y0,x1,y1")
    words = f"of {' and '.join(_POINTED)}: x,y,x,y,..."
    parser.add_argument("--points", metavar="NUMBERS", type=numbers, help=words)
    parser.add_argument("--thickness", metavar="PIXELS", type=float, help="of stroke")
    parser.add_argument("--text", metavar="WORDS", help=f"of {_WORDS}: what is named")
    parser.add_argument("--model", metavar="NAME", help=f"of {_WORDS}: what finds it; `concord models` lists them")
    parser.add_argument("--irregular", metavar="SEED", type=_seed, help="make the edge uneven")
    words = f"of --irregular: 0 to {shapes.MOST_ROUGHNESS} (default: {shapes.ROUGHNESS})"
    parser.add_argument("--roughness", metavar="SHARE", type=float, help=words)
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, required=True, help="the PNG to write")
    add_connection_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Writes the mask; returns the exit code."""
    _check(args)
    try:
        mask = _given(args.mask) if args.mask else _drawn(args)
    except ConcordError as error:
        print(f"concord: {error}", file=sys.stderr)
        return ExitCode.FAILED
    if args.irregular is not None:
        roughness = shapes.ROUGHNESS if args.roughness is None else args.roughness
        mask = shapes.irregular(mask, args.irregular, roughness)
    if not mask.any():
        print("concord: there is nothing of it in the picture", file=sys.stderr)
        return ExitCode.FAILED
    write_atomically(args.output, encode_mask(mask))
    return ExitCode.OK


def _drawn(args: argparse.Namespace) -> Pixels:
    """The mask of the shape."""
    if args.shape == _WORDS:
        return _box_of_words(args)
    height, width = args.size or _size_in(args.like.read_bytes())
    if args.box:
        return _BOXED[args.shape](args.box, height, width)
    points = list(zip(args.points[::2], args.points[1::2], strict=True))
    if args.shape == "polygon":
        return shapes.polygon(points, height, width)
    return shapes.stroke(points, args.thickness, height, width)


def _box_of_words(args: argparse.Namespace) -> Pixels:
    """The rectangle around what a server finds; nothing, where it finds nothing."""
    encoded = args.like.read_bytes()
    height, width = _size_in(encoded)
    with Client(**read_connection(args)) as client:
        found = client.segment(encoded, args.text, model=args.model)
    left, top, across, down = cv2.boundingRect(decode_mask(found.mask, height, width, Limits()))
    return shapes.rectangle((left, top, left + across, top + down), height, width)


def _given(path: Path) -> Pixels:
    encoded = path.read_bytes()
    return decode_mask(encoded, *_size_in(encoded), Limits())


def _size_in(encoded: bytes) -> tuple[int, int]:
    """Height and width of the picture, upright."""
    width, height = open_image(encoded, Limits(), "IMAGE").size
    return height, width


def _check(args: argparse.Namespace) -> None:
    """Refuses flags that do not belong together, before anything is read.

    Raises:
        UsageError: says what is missing, or goes with something else.
    """
    if args.mask and args.shape:
        raise UsageError("--shape goes with --like or --size; --mask has its own")
    if args.mask and args.irregular is None:
        raise UsageError("--mask goes with --irregular; there is nothing else to do")
    if not args.mask and not args.shape:
        raise UsageError("--shape is missing")
    needed = {"box": tuple(_BOXED), "points": tuple(_POINTED), "thickness": ("stroke",), "text": (_WORDS,)}
    for name, forms in needed.items():
        given = getattr(args, name) is not None
        if given and args.shape not in forms:
            raise UsageError(f"--{name} goes with --shape {' or '.join(forms)}")
        if not given and args.shape in forms:
            raise UsageError(f"--shape {args.shape} needs --{name}")
    if args.shape == _WORDS and not args.like:
        raise UsageError(f"--shape {_WORDS} needs --like, the picture to look in")
    if args.model is not None and args.shape != _WORDS:
        raise UsageError(f"--model goes with --shape {_WORDS}")
    if args.roughness is not None and args.irregular is None:
        raise UsageError("--roughness goes with --irregular")
    _check_numbers(args)


def _check_numbers(args: argparse.Namespace) -> None:
    if args.box is not None and not (len(args.box) == 4 and args.box[0] < args.box[2] and args.box[1] < args.box[3]):
        raise UsageError("--box is not a box; allowed: left,top,right,bottom, in this order")
    if args.points is not None:
        least = _POINTED[args.shape]
        if len(args.points) % 2 or not least <= len(args.points) // 2 <= _MOST_POINTS:
            raise UsageError(f"--points of a {args.shape} are pairs x,y; allowed: {least} to {_MOST_POINTS} of them")
    if args.thickness is not None and not 1 <= args.thickness <= _MOST_THICKNESS:
        raise UsageError(f"--thickness is {args.thickness:g}; allowed: 1 to {_MOST_THICKNESS} pixels")
    if args.roughness is not None and not 0 <= args.roughness <= shapes.MOST_ROUGHNESS:
        raise UsageError(f"--roughness is {args.roughness:g}; allowed: 0 to {shapes.MOST_ROUGHNESS}")


def _size(text: str) -> tuple[int, int]:
    """Height and width from a text like ``640x480``."""
    across, _, down = text.partition("x")
    if across.isdecimal() and down.isdecimal() and 0 < int(across) * int(down) <= Limits().max_pixels:
        return int(down), int(across)
    words = f"{text[:40]!r} is not a width and a height like 640x480, of at most {Limits().max_pixels:,} pixels"
    raise argparse.ArgumentTypeError(words)


def _seed(text: str) -> int:
    if text.isdecimal() and len(text) < 20 and int(text) <= MAX_SEED:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a whole number from 0 to {MAX_SEED}")
