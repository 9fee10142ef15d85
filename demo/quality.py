"""`make quality`: what the demo weights achieve through the real server on scenes and photographs they never saw."""

import json
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from concord.images import encode_png
from concord.masks import encode_mask
from concord.server import EmbeddedServer, Ports
from concord_client import Client
from demo.metrics import foreground_mse, intersection_over_union
from demo.photographs import HELD_OUT_FROM, PhotoComposite, make_photo_composite
from demo.scenes import Scene, make_scene

OUTPUT = Path("out/quality.json")
SCENES = 256
PHOTOGRAPHS = 256
SIZE = (256, 256)  # the published measures are taken at 256 x 256


def main() -> int:
    with EmbeddedServer(ports=Ports(0, 0, 0)) as server, Client(server.grpc_url) as client:
        scenes = [make_scene(HELD_OUT_FROM + n, SIZE) for n in tqdm(range(SCENES), "making scenes")]
        photographs = [
            make_photo_composite(HELD_OUT_FROM + n, SIZE, "held out") for n in tqdm(range(PHOTOGRAPHS), "photographs")
        ]
        overlap = each(lambda scene: iou(client, scene), scenes, "segmenting scenes")
        on_scenes = each(lambda scene: errors(client, scene), scenes, "harmonizing scenes")
        on_photographs = each(lambda composite: errors(client, composite), photographs, "harmonizing photographs")
    report = {
        "scenes": {"count": SCENES, "cris_iou": float(np.mean(overlap)), **summary(on_scenes)},
        "photographs": {"count": PHOTOGRAPHS, **summary(on_photographs)},
    }
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(json.dumps(report, indent=2) + "\n")
    print(f"\nCRIS on {SCENES} held-out scenes: mean IoU {report['scenes']['cris_iou']:.3f}")
    for name in ("scenes", "photographs"):
        row = report[name]
        print(
            f"DHT on {row['count']} held-out {name}: mean fMSE {row['fmse_before']:.0f} -> {row['fmse_after']:.0f}, "
            f"ratio {row['ratio']:.3f}; better on {row['improved']:.0%}"
        )
    return 0


def each(measure: Callable, items: Iterable, title: str) -> NDArray[np.float64]:
    """`measure` of every item, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        return np.array(list(tqdm(pool.map(measure, items), title, total=len(items))))


def iou(client: Client, scene: Scene) -> float:
    """IoU of the mask that the scene's expression gives."""
    answer = client.segment(encode_png(scene.composite), scene.expression)
    return intersection_over_union(np.asarray(Image.open(BytesIO(answer.mask))), scene.mask)


def errors(client: Client, composite: Scene | PhotoComposite) -> tuple[float, float]:
    """fMSE before and after harmonizing with the true mask."""
    answer = client.harmonize(encode_png(composite.composite), mask=encode_mask(composite.mask))
    harmonized = np.asarray(Image.open(BytesIO(answer.image)))
    return (
        foreground_mse(composite.composite, composite.truth, composite.mask),
        foreground_mse(harmonized, composite.truth, composite.mask),
    )


def summary(before_after: NDArray[np.float64]) -> dict[str, float]:
    before, after = before_after.T
    return {
        "fmse_before": float(before.mean()),
        "fmse_after": float(after.mean()),
        "ratio": float(after.mean() / before.mean()),
        "improved": float((after < before).mean()),
    }


if __name__ == "__main__":
    sys.exit(main())
