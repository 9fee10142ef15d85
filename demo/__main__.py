"""`make demo`: every task on photographs and scenes, through the real server; a page and a report in `out/demo`."""

import json
import sys
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from concord import shapes
from concord.arrays import Pixels
from concord.errors import ConcordError
from concord.instruments.pipelines import of_task
from concord.instruments.stages import read_statistics, stage_milliseconds
from concord.masks import encode_mask
from concord.png import encode_png
from concord.scenes.holes import make_hole
from concord.scenes.scene import Scene, make_scene
from concord.server.choice import AUTO
from concord.server.embedded import EmbeddedServer, Ports
from concord_client import Client, ConcordClientError, Edit, Generate, Harmonize, Inpaint
from demo.drawing import Drawing
from demo.examples import COMPOSITES
from demo.filling import telea
from demo.page import Parts, written
from demo.pictures import side_by_side
from demo.shown import SEED, Shown
from facade.page.languages import ENGLISH

OUTPUT = Path("out/demo")
SEEDS = (1_000_001, 1_000_002, 1_000_003, 1_000_005, 1_000_007, 1_000_010, 1_000_012, 1_000_026)
SIZE = (512, 512)
GAP = 8  # pixels between the pictures of a row
HOLES = 4  # scenes of which a part is taken out
GREY = 128
MARGIN = 24  # pixels around an object, of which a new one may be drawn


def main() -> int:
    began = time.monotonic()
    OUTPUT.mkdir(parents=True, exist_ok=True)
    try:
        with EmbeddedServer(ports=Ports(0, 0, 0), model_config_name=AUTO) as server, Client(server.grpc_url) as client:
            print(f"Triton is ready after {time.monotonic() - began:.1f} s")
            before = read_statistics(server.grpc_url)
            scenes = [make_scene(seed, SIZE) for seed in SEEDS]
            parts = Parts(
                photographs=harmonized_photographs(client),
                scenes=harmonized_scenes(client, scenes),
                holes=filled(client, scenes),
                edits=edited(client, scenes),
                drawings=drawn(client, scenes),
            )
            stages = stage_milliseconds(before, read_statistics(server.grpc_url))
    except (ConcordError, ConcordClientError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    kinds = {
        "photographs, with their masks": parts.photographs,
        "generated scenes, by words": parts.scenes,
        "holes": parts.holes,
    }
    for kind, shown in kinds.items():
        print_tables(kind, shown)
        write_pictures(shown)
    print("\nmilliseconds a stage: " + ", ".join(f"{name} {value:.1f}" for name, value in stages.items()))
    for drawing in (*parts.edits, *parts.drawings):
        print(f"{drawing.model}: {drawing.text:40} {drawing.seconds:5.2f} s")
    report = {
        "photographs": [each.row() for each in parts.photographs],
        "scenes": [each.row() for each in parts.scenes],
        "holes": [each.row() for each in parts.holes],
        "drawings": [each.row() for each in (*parts.edits, *parts.drawings)],
        "stage_milliseconds": stages,
    }
    (OUTPUT / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    (OUTPUT / "index.html").write_text(written(parts))
    print(f"\nopen {OUTPUT}/index.html: before and after. Beside it are report.json and all pictures")
    return 0


def harmonized_photographs(client: Client) -> list[Shown]:
    """The example photographs: each by the default model, and by those that work in steps."""
    first, *others = of_task(client.catalogue(), Harmonize.TASK, {"IMAGE", "MASK"})
    found = []
    for each in COMPOSITES:
        shown = Shown(ENGLISH[each.example.title], each.is_unseen, each.pixels, each.truth, each.mask)
        for pipeline in (first, *(other for other in others if other.streams)):
            shown.ask(client, pipeline, Harmonize(each.encoded, mask=each.encoded_mask))
        found.append(shown)
    return found


def harmonized_scenes(client: Client, scenes: Sequence[Scene]) -> list[Shown]:
    """Scenes, each by its expression and every model that takes words."""
    pipelines = of_task(client.catalogue(), Harmonize.TASK, {"IMAGE", "TEXT"})
    found = []
    for scene in scenes:
        shown = Shown(scene.expression, True, scene.composite, scene.truth, scene.mask)
        for pipeline in pipelines:
            shown.ask(client, pipeline, Harmonize(encode_png(scene.composite), text=scene.expression))
        found.append(shown)
    return found


def filled(client: Client, scenes: Sequence[Scene]) -> list[Shown]:
    """Photographs and scenes with a hole, by every model that fills holes and by one without a network."""
    photographs = [(ENGLISH[each.example.title], each.is_unseen, each.truth) for each in COMPOSITES]
    pictures = photographs + [(scene.expression, True, scene.truth) for scene in scenes[:HOLES]]
    pipelines = of_task(client.catalogue(), Inpaint.TASK, {"IMAGE", "MASK"})
    found: list[Shown] = []
    for number, (title, is_unseen, truth) in enumerate(pictures if pipelines else ()):
        hole = make_hole(np.random.default_rng(number), (truth.shape[0], truth.shape[1]))
        missing = np.where(hole[..., None] > 0, np.uint8(GREY), truth)
        shown = Shown(title, is_unseen, missing, truth, hole)
        for pipeline in pipelines:
            shown.ask(client, pipeline, Inpaint(encode_png(missing), encode_mask(hole)))
        began = time.monotonic()
        shown.add("Telea", telea(missing, hole), hole, time.monotonic() - began)
        found.append(shown)
    return found


def edited(client: Client, scenes: Sequence[Scene]) -> list[Drawing]:
    """Scenes whose named object becomes what another scene's text names."""
    found = []
    for scene, other in pairwise(scenes):
        part = (scene.truth, outward(scene.mask))
        for pipeline in of_task(client.catalogue(), Edit.TASK, {"IMAGE", "MASK", "TEXT"}):
            found.append(Drawing.of(client, pipeline, other.expression, part))
    return found


def drawn(client: Client, scenes: Sequence[Scene]) -> list[Drawing]:
    """What every model that draws makes of the scenes' texts."""
    pipelines = of_task(client.catalogue(), Generate.TASK, {"TEXT"})
    return [
        Drawing.of(client, each, scene.expression, seed=number)
        for number, scene in enumerate(scenes)
        for each in pipelines
    ]


def outward(mask: Pixels) -> Pixels:
    """The box of a mask [H, W] and a margin around it, with an uneven edge."""
    height, width = mask.shape
    x, y, across, down = cv2.boundingRect(mask)
    box = (x - MARGIN, y - MARGIN, x + across + MARGIN, y + down + MARGIN)
    return shapes.irregular(shapes.ellipse(box, height, width), SEED)


def write_pictures(shown: Sequence[Shown]) -> None:
    """Composite, mask, harmonized and truth of every answer, side by side."""
    for each in shown:
        for answer in each.answers:
            grey = np.repeat(answer.mask[..., None], 3, axis=2)
            row = side_by_side((each.composite, grey, answer.pixels, each.truth), GAP)
            (OUTPUT / f"{each.title.replace(' ', '_')}_{answer.model}.png").write_bytes(encode_png(row))


def print_tables(kind: str, shown: Sequence[Shown]) -> None:
    for number, model in enumerate(answer.model for each in shown[:1] for answer in each.answers):
        title = f"{model}: {kind}"
        print(f"\n{title:52} {'IoU':>5} {'fMSE':>7} {'after':>7} {'seconds':>8}")
        rows = [(each.title, a.iou, each.fmse, a.fmse, a.seconds) for each in shown for a in [each.answers[number]]]
        means = ("mean", *np.mean([row[1:] for row in rows], axis=0))
        for words, iou, before, after, seconds in (*rows, means):
            print(f"{words[:52]:52} {iou:5.2f} {before:7.0f} {after:7.0f} {seconds:8.2f}")


if __name__ == "__main__":
    sys.exit(main())
