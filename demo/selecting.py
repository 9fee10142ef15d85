"""`python -m demo.selecting`: how well a click or a box selects an object of a held-out scene, and in what time.

One click lies as far from the object's edge as a point can, another anywhere in the object; the box is the object's.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from statistics import median

import cv2
import numpy as np

from concord.arrays import Pixels
from concord.clicks import Clicks
from concord.gates.pictures import held_out_scenes
from concord.images import decode_image
from concord.limits import Limits
from concord.masks import encode_mask, intersection_over_union
from concord.scenes.encoded import scene_jpeg
from concord.scenes.scene import Scene
from concord.selection import select

OUTPUT = Path("out/selecting.json")
GOOD = 0.8
SIDES = ((512, 512), (3000, 4000))
"""Heights and widths in pixels at which the time is measured."""
_TIMES = 5


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=64, help="how many")
    parser.add_argument("--side", type=int, default=256, help="of a scene, in pixels")
    arguments = parser.parse_args()
    scenes = list(islice(held_out_scenes((arguments.side, arguments.side)), arguments.scenes))
    report = {name: quality(scenes, shown) for name, shown in SHOWN.items()}
    times = {f"{width}x{height}": taken(height, width) for height, width in SIDES}
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(json.dumps({"scenes": len(scenes), "shown": report, "seconds": times}, indent=2) + "\n")
    print(f"IoU on {len(scenes)} held-out scenes of {arguments.side} pixels")
    for name, row in report.items():
        good = f"above {GOOD} on {row['good']:.0%}"
        print(
            f"{name}: best of the masks {row['best']:.3f}, {good}; first {row['first']:.3f}; {row['masks']:.1f} masks"
        )
    for size, each in times.items():
        print(f"one click, {size} JPEG to masks as PNG: {each[0] * 1000:.0f} ms, {each[1] * 1000:.0f} ms of a core")
    return 0


def inmost(mask: Pixels) -> tuple[float, float]:
    """The point of a mask that is farthest from its edge: its pole of inaccessibility, to a pixel."""
    depth = cv2.distanceTransform(np.pad((mask > 0).astype(np.uint8), 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    return float(column) + 0.5, float(row) + 0.5


def _anywhere(mask: Pixels) -> tuple[float, float]:
    """Any point of a mask; the same each time."""
    rows, columns = np.nonzero(mask)
    place = np.random.default_rng(len(rows)).integers(len(rows))
    return float(columns[place]) + 0.5, float(rows[place]) + 0.5


def _box(mask: Pixels) -> Clicks:
    x, y, width, height = cv2.boundingRect(mask)
    return Clicks(box=(x, y, x + width, y + height))


SHOWN: dict[str, Callable[[Pixels], Clicks]] = {
    "a click in the middle": lambda mask: Clicks((inmost(mask),)),
    "a click anywhere": lambda mask: Clicks((_anywhere(mask),)),
    "a box": _box,
}


def quality(scenes: list[Scene], shown: Callable[[Pixels], Clicks]) -> dict[str, float]:
    """Means over scenes: IoU of the best and of the first mask, the share of good ones, and how many masks."""
    rows = []
    for scene in scenes:
        found = select(scene.composite, shown(scene.mask))
        rows.append([intersection_over_union(each.mask, scene.mask) for each in found])
    best = np.array([max(row) for row in rows])
    return {
        "best": float(best.mean()),
        "good": float((best > GOOD).mean()),
        "first": float(np.mean([row[0] for row in rows])),
        "masks": float(np.mean([len(row) for row in rows])),
    }


def taken(height: int, width: int) -> tuple[float, float]:
    """The median seconds from a JPEG file and a click to the files of the masks, and those of the processor's cores.

    On a busy machine only the second says much.
    """
    file, times = scene_jpeg(height, width), []
    for _ in range(_TIMES):
        began, began_work = time.perf_counter(), time.process_time()
        found = select(decode_image(file, Limits()).pixels, Clicks(((0.5 * width, 0.5 * height),)))
        for each in found:
            encode_mask(each.mask)
        times.append((time.perf_counter() - began, time.process_time() - began_work))
    passed, worked = zip(*times, strict=True)
    return median(passed), median(worked)


if __name__ == "__main__":
    sys.exit(main())
