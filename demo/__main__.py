"""`make demo`: harmonizes held-out scenes through the real server; pictures, a table and a report in `out/demo`."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from concord.errors import ConcordError
from concord.gates.metrics import foreground_mse, intersection_over_union, psnr
from concord.instruments.pipelines import of_task
from concord.instruments.stages import read_statistics, stage_milliseconds
from concord.png import encode_png
from concord.scenes.scene import make_scene
from concord.server.choice import AUTO
from concord.server.embedded import EmbeddedServer, Ports
from concord_client import Client, ConcordClientError, Harmonize, Pipeline
from demo.pictures import decoded, side_by_side

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
            pipelines = of_task(client.catalogue(), Harmonize.TASK, {"IMAGE", "TEXT"})
            rows = {each.model: [harmonize(client, each, seed) for seed in SEEDS] for each in pipelines}
            stages = stage_milliseconds(before, read_statistics(server.grpc_url))
    except (ConcordError, ConcordClientError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    means = {model: mean(pictures) for model, pictures in rows.items()}
    report = {
        "pictures": [row for pictures in rows.values() for row in pictures],
        "means": means,
        "stage_milliseconds": stages,
    }
    (OUTPUT / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    for model, each in rows.items():
        print_table(model, [*each, means[model]])
    print("\nmilliseconds a stage: " + ", ".join(f"{name} {value:.1f}" for name, value in stages.items()))
    print(f"\npictures and report.json are in {OUTPUT}/ (composite, predicted mask, harmonized, truth)")
    return 0


def harmonize(client: Client, pipeline: Pipeline, seed: int) -> dict[str, Any]:
    """Harmonizes one scene by its expression, writes its picture and returns its row of the report."""
    scene = make_scene(seed, SIZE)
    began = time.perf_counter()
    request = Harmonize(encode_png(scene.composite), text=scene.expression)
    settings = {"seed": seed} if "SEED" in pipeline.settings else {}
    answer = client.run(request, model=pipeline.model, settings=settings)
    elapsed = (time.perf_counter() - began) * 1000
    assert answer.mask is not None
    harmonized, mask = decoded(answer.image), decoded(answer.mask)
    if not np.array_equal(harmonized[mask == 0], scene.composite[mask == 0]):
        raise ConcordError("HARMONIZED", "pixels outside the mask were changed")
    picture = f"{seed}_{pipeline.model}.png"
    grey = np.repeat(mask[..., None], 3, axis=2)
    row = side_by_side((scene.composite, grey, harmonized, scene.truth), GAP)
    (OUTPUT / picture).write_bytes(encode_png(row))
    return {
        "model": pipeline.model,
        "picture": picture,
        "expression": scene.expression,
        "iou": intersection_over_union(mask, scene.mask),
        "fmse_before": foreground_mse(scene.composite, scene.truth, scene.mask),
        "fmse_after": foreground_mse(harmonized, scene.truth, scene.mask),
        "psnr_before": psnr(scene.composite, scene.truth),
        "psnr_after": psnr(harmonized, scene.truth),
        "milliseconds": elapsed,
    }


def mean(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """One more row with the means of the rows."""
    numbers = [key for key, value in rows[0].items() if isinstance(value, float)]
    return {"expression": "mean"} | {key: float(np.mean([row[key] for row in rows])) for key in numbers}


def print_table(model: str, rows: list[dict[str, Any]]) -> None:
    print(f"\n{model:44} {'IoU':>5} {'fMSE':>7} {'after':>7} {'PSNR':>6} {'after':>6} {'ms':>6}")
    for row in rows:
        print(
            f"{row['expression'][:44]:44} {row['iou']:5.2f} {row['fmse_before']:7.0f} {row['fmse_after']:7.0f} "
            f"{row['psnr_before']:6.1f} {row['psnr_after']:6.1f} {row['milliseconds']:6.0f}"
        )


if __name__ == "__main__":
    sys.exit(main())
