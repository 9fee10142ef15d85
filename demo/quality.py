"""`make quality`: measures the demo weights through the real server on held-out scenes and photographs."""

import json
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm  # type: ignore[import-untyped]
from tritonclient.grpc import InferenceServerClient  # type: ignore[import-untyped]

from concord.gates.metrics import foreground_mse, intersection_over_union, psnr
from concord.gates.patches import pattern
from concord.gates.pictures import SIZE, HeldOut, answer, fixed, judged
from concord.gates.tasks import LARGE_SCENES, Picture, gate_of
from concord.instruments.networks import as_pixels, run_network
from concord.png import encode_png
from concord.scenes.scene import Scene
from concord.server.embedded import EmbeddedServer, Ports
from concord_client import Client, Harmonize, Pipeline, Request, Segment

OUTPUT = Path("out/quality.json")
SCENES = 256
PHOTOGRAPHS = 256


def main() -> int:
    with (
        EmbeddedServer(ports=Ports(0, 0, 0)) as server,
        Client(server.grpc_url) as client,
        InferenceServerClient(server.grpc_url) as networks,
    ):
        print("drawing scenes and photographs")
        pictures = HeldOut.draw(SCENES, PHOTOGRAPHS)
        catalogue = client.catalogue()
        coders = [pipeline.parts for pipeline in catalogue.pipelines if {"encoder", "decoder"} <= pipeline.parts.keys()]
        report: dict[str, Any] = {"autoencoders": {}, "segmenters": {}, "harmonizers": {}, "patterns": {}}
        for names in {(parts["encoder"].model, parts["decoder"].model) for parts in coders}:
            values = each(lambda scene, n=names: restored_psnr(networks, scene, *n), pictures.scenes, "restoring")
            report["autoencoders"][" and ".join(names)] = float(values.mean())
        for pipeline in judged(catalogue):
            if pipeline.task == Segment.TASK or "MASK" not in pipeline.inputs:
                values = each(lambda scene, p=pipeline: iou(client, p, scene), pictures.scenes, pipeline.model)
                report["segmenters"][pipeline.model] = float(values.mean())
            if pipeline.task != Harmonize.TASK:
                continue
            for kind, items in pictures.of(gate_of(pipeline)).items():
                if kind == LARGE_SCENES:
                    report["patterns"][pipeline.model] = shown_patches(client, pipeline, items)
                    continue
                title = f"{pipeline.model} on {kind}"
                pairs = each(lambda item, p=pipeline: errors(client, p, item), items, title)
                report["harmonizers"][title] = summary(pairs)
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(json.dumps(report, indent=2) + "\n")
    print(f"\n{SCENES} scenes and {PHOTOGRAPHS} photographs, held out, {SIZE[0]}x{SIZE[1]}")
    for name, value in report["segmenters"].items():
        print(f"{name}: mean IoU {value:.3f} on scenes")
    for name, value in report["autoencoders"].items():
        print(f"{name}: mean PSNR of the reconstruction {value:.2f} dB on scenes")
    for name, row in report["harmonizers"].items():
        print(
            f"{name}: mean fMSE {row['fmse_before']:.0f} -> {row['fmse_after']:.0f}, ratio {row['ratio']:.3f}; "
            f"better on {row['improved']:.0%}"
        )
    for name, value in report["patterns"].items():
        print(
            f"{name}: power of the changes at the patches' period {value:.2f} times that beside it, on {LARGE_SCENES}"
        )
    return 0


def shown_patches(client: Client, pipeline: Pipeline, scenes: Sequence[Picture]) -> float:
    """`pattern` of the answers."""
    found = [answer(client, pipeline, scene) for scene in scenes]
    return pattern([scene.composite for scene in scenes], found, [scene.mask for scene in scenes])


def each(measure: Callable[..., object], items: Sequence[Any], title: str) -> NDArray[np.float64]:
    """`measure` of every item, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        return np.array(list(tqdm(pool.map(measure, items), title, total=len(items))))


def iou(client: Client, pipeline: Pipeline, scene: Scene) -> float:
    """IoU of the mask found for the scene's expression."""
    image, text = encode_png(scene.composite), scene.expression
    request: Request[Any] = Segment(image, text) if pipeline.task == Segment.TASK else Harmonize(image, text=text)
    found = client.run(request, model=pipeline.model, settings=fixed(pipeline)).mask
    return intersection_over_union(np.asarray(Image.open(BytesIO(found))), scene.mask)


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
