"""`python -m demo.edges`: how well a mask found from words follows its object's edge, and what fitting it takes.

Through the real server, on held-out scenes: masks as they were found, fitted, and soft ones.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from concord.edges import EDGES, FITTED, HARD, SOFT
from concord.gates.metrics import boundary_f
from concord.gates.pictures import held_out_scenes
from concord.instruments.stages import read_statistics, stages
from concord.instruments.timing import settled
from concord.masks import intersection_over_union
from concord.png import encode_png
from concord.scenes.encoded import scene, scene_jpeg
from concord.server.embedded import EmbeddedServer, Ports
from concord_client import Client, Segment
from demo.pictures import decoded

OUTPUT = Path("out/edges.json")
SIDES = (256, 512, 1024)  # of the scenes, in pixels
TOLERANCE = 2 / 512  # of the boundary, as a share of the side
TIMED = {"512 px": (512, 512), "12 MP": (3000, 4000)}  # height and width
ROUNDS = 5
STILL = 0.2  # seconds


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=40, help="scenes of each size")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    asked = parser.parse_args(arguments)
    with EmbeddedServer(ports=Ports(0, 0, 0)) as server, Client(server.grpc_url, timeout=120) as client:
        measured = {side: quality(client, side, asked.scenes) for side in SIDES}
        took = {name: milliseconds(server, client, *size) for name, size in TIMED.items()}
    asked.output.parent.mkdir(parents=True, exist_ok=True)
    asked.output.write_text(json.dumps({"quality": measured, "milliseconds": took}, indent=2) + "\n")
    print(f"{asked.scenes} held-out scenes of each size; boundary F-score at 2 pixels of 512")
    for side, rows in measured.items():
        for edges, row in rows.items():
            print(f"{side} px, {edges}: mean IoU {row['iou']:.3f}, boundary F-score {row['boundary_f']:.3f}")
    for name, times in took.items():
        print(f"{name}: " + ", ".join(f"{edges} {value:.1f} ms" for edges, value in times.items()))
    return 0


def quality(client: Client, side: int, number: int) -> dict[str, dict[str, float]]:
    """Mean IoU and boundary F-score of the masks found in scenes, hard and fitted."""
    scores: dict[str, list[tuple[float, float]]] = {HARD: [], FITTED: []}
    for each in islice(held_out_scenes((side, side)), number):
        for edges, found in scores.items():
            mask = segmented(client, encode_png(each.composite), each.expression, edges)
            found.append((intersection_over_union(mask, each.mask), boundary_f(mask, each.mask, TOLERANCE * side)))
    means = {edges: np.mean(found, axis=0) for edges, found in scores.items()}
    return {edges: {"iou": float(iou), "boundary_f": float(f)} for edges, (iou, f) in means.items()}


def milliseconds(server: EmbeddedServer, client: Client, height: int, width: int) -> dict[str, float]:
    """The median time of a request in the model `edges`, copies and all."""
    image = scene_jpeg(height, width)
    took: dict[str, list[float]] = {HARD: [], FITTED: [], SOFT: []}
    for number in range(ROUNDS + 1):
        for edges, found in took.items():
            before = read_statistics(server.grpc_url)
            segmented(client, image, scene().expression, edges)
            # A model's statistics can come after its answer.
            spent = stages(before, settled(lambda: read_statistics(server.grpc_url), STILL))
            if number:  # the first ones warm it up
                found.append(spent["edges"].milliseconds)
    return {edges: median(found) for edges, found in took.items()}


def segmented(client: Client, image: bytes, text: str, edges: str) -> NDArray[np.uint8]:
    """The mask that is found for a text, with the edge that is asked for."""
    answer = client.run(Segment(image, text), settings={EDGES.lower(): edges})
    return decoded(answer.mask)


if __name__ == "__main__":
    sys.exit(main())
