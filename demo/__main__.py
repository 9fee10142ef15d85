"""`make demo`: harmonizes photographs and scenes through the real server; a page and a report in `out/demo`."""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from concord.errors import ConcordError
from concord.instruments.pipelines import of_task
from concord.instruments.stages import read_statistics, stage_milliseconds
from concord.png import encode_png
from concord.scenes.scene import make_scene
from concord.server.choice import AUTO
from concord.server.embedded import EmbeddedServer, Ports
from concord_client import Client, ConcordClientError, Harmonize
from demo.examples import COMPOSITES
from demo.page import written
from demo.pictures import side_by_side
from demo.shown import Shown
from facade.page.languages import ENGLISH

OUTPUT = Path("out/demo")
SEEDS = (1_000_001, 1_000_002, 1_000_003, 1_000_005, 1_000_007, 1_000_010, 1_000_012, 1_000_026)
SIZE = (512, 512)
GAP = 8  # pixels between the pictures of a row


def main() -> int:
    began = time.monotonic()
    OUTPUT.mkdir(parents=True, exist_ok=True)
    try:
        with EmbeddedServer(ports=Ports(0, 0, 0), model_config_name=AUTO) as server, Client(server.grpc_url) as client:
            print(f"Triton is ready after {time.monotonic() - began:.1f} s")
            before = read_statistics(server.grpc_url)
            photographs, scenes = harmonized_photographs(client), harmonized_scenes(client)
            stages = stage_milliseconds(before, read_statistics(server.grpc_url))
    except (ConcordError, ConcordClientError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    for kind, shown in (("photographs, with their masks", photographs), ("generated scenes, by words", scenes)):
        print_tables(kind, shown)
        write_pictures(shown)
    print("\nmilliseconds a stage: " + ", ".join(f"{name} {value:.1f}" for name, value in stages.items()))
    report = {
        "photographs": [each.row() for each in photographs],
        "scenes": [each.row() for each in scenes],
        "stage_milliseconds": stages,
    }
    (OUTPUT / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    (OUTPUT / "index.html").write_text(written(photographs, scenes))
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


def harmonized_scenes(client: Client) -> list[Shown]:
    """Held-out scenes, each by its expression and every model that takes words."""
    pipelines = of_task(client.catalogue(), Harmonize.TASK, {"IMAGE", "TEXT"})
    found = []
    for seed in SEEDS:
        scene = make_scene(seed, SIZE)
        shown = Shown(scene.expression, True, scene.composite, scene.truth, scene.mask)
        for pipeline in pipelines:
            shown.ask(client, pipeline, Harmonize(encode_png(scene.composite), text=scene.expression))
        found.append(shown)
    return found


def write_pictures(shown: Sequence[Shown]) -> None:
    """Composite, mask, harmonized and truth of every answer, side by side."""
    for each in shown:
        for answer in each.answers:
            grey = np.repeat(answer.mask[..., None], 3, axis=2)
            row = side_by_side((each.composite, grey, answer.pixels, each.truth), GAP)
            (OUTPUT / f"{each.title.replace(' ', '_')}_{answer.model}.png").write_bytes(encode_png(row))


def print_tables(kind: str, shown: Sequence[Shown]) -> None:
    for number, model in enumerate(answer.model for answer in shown[0].answers):
        title = f"{model}: {kind}"
        print(f"\n{title:52} {'IoU':>5} {'fMSE':>7} {'after':>7} {'seconds':>8}")
        rows = [(each.title, a.iou, each.fmse, a.fmse, a.seconds) for each in shown for a in [each.answers[number]]]
        means = ("mean", *np.mean([row[1:] for row in rows], axis=0))
        for words, iou, before, after, seconds in (*rows, means):
            print(f"{words[:52]:52} {iou:5.2f} {before:7.0f} {after:7.0f} {seconds:8.2f}")


if __name__ == "__main__":
    sys.exit(main())
