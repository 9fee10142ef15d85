"""`make quality`: measures the demo weights through the real server on held-out scenes and photographs."""

import json
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm  # type: ignore[import-untyped]
from tritonclient.grpc import InferenceServerClient  # type: ignore[import-untyped]

from concord.arrays import as_pixels
from concord.edges import EDGES, FITTED, HARD
from concord.gates import tasks
from concord.gates.metrics import boundary_f, decibels, foreground_mse, psnr
from concord.gates.patches import pattern
from concord.gates.pictures import SIZE, HeldOut, answer, fixed, judged
from concord.gates.tasks import Picture, gate_of
from concord.instruments.networks import run_network
from concord.instruments.pipelines import of_task
from concord.masks import intersection_over_union
from concord.png import encode_png
from concord.scenes.photographs import HELD_OUT_FROM, make_photo_composite
from concord.scenes.scene import Scene
from concord.server.embedded import EmbeddedServer, Ports
from concord_client import Client, Generate, Harmonize, Inpaint, Pipeline, Request, Segment, Select
from demo.drawing import Drawing, shows
from demo.filling import squared_errors
from demo.photographs import NotFetched, collection
from demo.pictures import decoded
from demo.selecting import inmost
from demo.tasks.harmonizer import WIDE

OUTPUT = Path("out/quality.json")
SCENES = 256
PHOTOGRAPHS = 256
FETCHED = 64
TEXTS = 128


def main() -> int:
    with (
        EmbeddedServer(ports=Ports(0, 0, 0)) as server,
        Client(server.grpc_url) as client,
        InferenceServerClient(server.grpc_url) as networks,
    ):
        print("drawing scenes and photographs")
        pictures, others = HeldOut.draw(SCENES, PHOTOGRAPHS), fetched()
        catalogue = client.catalogue()
        coders = [pipeline.parts for pipeline in catalogue.pipelines if {"encoder", "decoder"} <= pipeline.parts.keys()]
        kinds = ("autoencoders", "segmenters", "selectors", "inpainters", "generators", "harmonizers", "patterns")
        report: dict[str, Any] = {kind: {} for kind in kinds}
        for names in {(parts["encoder"].model, parts["decoder"].model) for parts in coders}:
            values = each(lambda scene, n=names: restored_psnr(networks, scene, *n), pictures.scenes, "restoring")
            report["autoencoders"][" and ".join(names)] = float(values.mean())
        for pipeline in of_task(catalogue, Select.TASK, {"IMAGE", "POINTS"}):
            values = each(lambda scene, p=pipeline: clicked_iou(client, p, scene), pictures.scenes, pipeline.model)
            report["selectors"][pipeline.model] = float(values.mean())
        for pipeline in of_task(catalogue, Inpaint.TASK, {"IMAGE", "MASK"}):
            numbered = list(enumerate(pictures.scenes))
            values = each(lambda item, p=pipeline: squared_errors(client, p, *item), numbered, pipeline.model)
            names = ("psnr", "psnr_telea")
            report["inpainters"][pipeline.model] = dict(zip(names, map(decibels, values.mean(axis=0)), strict=True))
        for pipeline in of_task(catalogue, Generate.TASK, {"TEXT"}):
            texts = [scene.expression for scene in pictures.scenes[:TEXTS]]
            report["generators"][pipeline.model] = drawn(client, pipeline, texts)
        for pipeline in judged(catalogue):
            if pipeline.task == Segment.TASK or "MASK" not in pipeline.inputs:
                for edges in (HARD, FITTED):
                    title = f"{pipeline.model}, {edges} edges"
                    values = each(lambda scene, p=pipeline, e=edges: found(client, p, scene, e), pictures.scenes, title)
                    iou, boundary = values.mean(axis=0).tolist()
                    report["segmenters"][title] = {"iou": iou, "boundary_f": boundary}
            if pipeline.task != Harmonize.TASK:
                continue
            asked = {**pictures.of(gate_of(pipeline))}
            if others and tasks.PHOTOGRAPHS in asked:
                asked["fetched photographs"] = others
            for kind, items in asked.items():
                if kind == tasks.LARGE_SCENES:
                    report["patterns"][pipeline.model] = shown_patches(client, pipeline, items)
                    continue
                title = f"{pipeline.model} on {kind}"
                pairs = each(lambda item, p=pipeline: errors(client, p, item), items, title)
                report["harmonizers"][title] = summary(pairs)
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(json.dumps(report, indent=2) + "\n")
    print(f"\n{SCENES} scenes and {PHOTOGRAPHS} photographs, held out, {SIZE[0]}x{SIZE[1]}")
    for name, row in report["segmenters"].items():
        print(f"{name}: mean IoU {row['iou']:.3f} and boundary F-score {row['boundary_f']:.3f} on scenes")
    for name, value in report["selectors"].items():
        print(f"{name}: mean IoU {value:.3f} of the best mask for one click on scenes")
    for name, row in report["inpainters"].items():
        print(f"{name}: PSNR {row['psnr']:.2f} dB in holes of scenes, {row['psnr_telea']:.2f} of Telea's method")
    for name, row in report["generators"].items():
        print(
            f"{name}: an object is found for {row['found']:.0%} of {TEXTS} texts, and has the colour that is said for "
            f"{row['right']:.0%}; in the picture of another text, for {row['found_by_chance']:.0%} and "
            f"{row['right_by_chance']:.0%}"
        )
    for name, value in report["autoencoders"].items():
        print(f"{name}: mean PSNR of the reconstruction {value:.2f} dB on scenes")
    for name, row in report["harmonizers"].items():
        print(
            f"{name}: mean fMSE {row['fmse_before']:.0f} -> {row['fmse_after']:.0f}, ratio {row['ratio']:.3f}; "
            f"better on {row['improved']:.0%}"
        )
    for name, value in report["patterns"].items():
        print(f"{name}: the power at the patches' period is {value:.2f} times that beside it, on {tasks.LARGE_SCENES}")
    return 0


def fetched() -> list[Picture]:
    """Composites of Debian's held-out photographs, changed as much as third-party composites; none if not fetched."""
    try:
        held_out = collection("held out")
    except NotFetched as error:
        print(f"without Debian's photographs: {error}")
        return []
    return [make_photo_composite(HELD_OUT_FROM + number, SIZE, held_out, WIDE) for number in range(FETCHED)]


def shown_patches(client: Client, pipeline: Pipeline, scenes: Sequence[Picture]) -> float:
    """`pattern` of the answers."""
    found = [answer(client, pipeline, scene) for scene in scenes]
    return pattern([scene.composite for scene in scenes], found, [scene.mask for scene in scenes])


def each(measure: Callable[..., object], items: Sequence[Any], title: str) -> NDArray[np.float64]:
    """`measure` of every item, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        return np.array(list(tqdm(pool.map(measure, items), title, total=len(items))))


def found(client: Client, pipeline: Pipeline, scene: Scene, edges: str) -> list[float]:
    """IoU and boundary F-score, at 2 pixels of 512, of the mask found for the scene's expression."""
    image, text = encode_png(scene.composite), scene.expression
    request: Request[Any] = Segment(image, text) if pipeline.task == Segment.TASK else Harmonize(image, text=text)
    settings = {**fixed(pipeline), EDGES.lower(): edges}
    mask = decoded(client.run(request, model=pipeline.model, settings=settings).mask)
    return [intersection_over_union(mask, scene.mask), boundary_f(mask, scene.mask, max(SIZE) * 2 / 512)]


def drawn(client: Client, pipeline: Pipeline, texts: Sequence[str]) -> dict[str, float]:
    """Shares of texts whose picture shows them, and by chance: of those drawn for the text before. Seeds differ."""
    numbered = enumerate(tqdm(texts, pipeline.model))
    drawings = [Drawing.of(client, pipeline, text, seed=number) for number, text in numbered]
    own = np.array([shows(client, drawing, drawing.text) for drawing in drawings])
    others = np.array([shows(client, drawings[n - 1], text) for n, text in enumerate(texts)])
    (found, right), (found_by_chance, right_by_chance) = (np.nanmean(each, axis=0).tolist() for each in (own, others))
    return {
        "found": found,
        "found_by_chance": found_by_chance,
        "right": right,
        "right_by_chance": right_by_chance,
    }


def clicked_iou(client: Client, pipeline: Pipeline, scene: Scene) -> float:
    """IoU of the best of the masks for a click in the middle of the scene's object."""
    point = [*inmost(scene.mask), 1]
    found = client.select(encode_png(scene.composite), points=point, model=pipeline.model)
    masks = map(decoded, found.masks)
    return max(intersection_over_union(mask, scene.mask) for mask in masks)


def restored_psnr(networks: InferenceServerClient, scene: Scene, encoder: str, decoder: str) -> float:
    """PSNR of a composite that went through an encoder and a decoder."""
    latent = run_network(networks, encoder, {"COMPOSITE": scene.composite}, "COMPOSITE_LATENT")
    decoded = run_network(networks, decoder, {"LATENT": latent}, "SMALL_RESULT")
    return psnr(as_pixels(decoded.transpose(1, 2, 0)), scene.composite)


def errors(client: Client, pipeline: Pipeline, picture: Picture) -> list[float]:
    """fMSE before and after harmonization, with the true mask where the pipeline takes one."""
    both = (picture.composite, answer(client, pipeline, picture))
    return [foreground_mse(each, picture.truth, picture.mask) for each in both]


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
