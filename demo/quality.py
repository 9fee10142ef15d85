"""`make quality`: measures the demo weights through the real server on held-out scenes and photographs."""

import json
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm  # type: ignore[import-untyped]
from tritonclient.grpc import InferenceServerClient  # type: ignore[import-untyped]

from concord.gates.metrics import foreground_mse, intersection_over_union, psnr
from concord.images import encode_png
from concord.instruments.networks import as_pixels, run_network
from concord.masks import encode_mask
from concord.scenes.photographs import HELD_OUT_FROM, PhotoComposite, make_photo_composite
from concord.scenes.scene import Scene, make_scene
from concord.server.embedded import EmbeddedServer, Ports
from concord_client import Client, Diffusion
from concord_client.diffusion import Harmonizer

OUTPUT = Path("out/quality.json")
SCENES = 256
PHOTOGRAPHS = 256
SIZE = (256, 256)  # the published measures are taken at 256 x 256


def main() -> int:
    with (
        EmbeddedServer(ports=Ports(0, 0, 0)) as server,
        Client(server.grpc_url) as client,
        InferenceServerClient(server.grpc_url) as networks,
    ):
        scenes = [make_scene(HELD_OUT_FROM + n, SIZE) for n in tqdm(range(SCENES), "making scenes")]
        photographs = [
            make_photo_composite(HELD_OUT_FROM + n, SIZE, "held out") for n in tqdm(range(PHOTOGRAPHS), "photographs")
        ]
        restored = each(
            lambda scene: psnr(restore(networks, scene.composite), scene.composite), scenes, "reconstructing"
        )
        overlap = each(lambda scene: iou(client, scene), scenes, "segmenting scenes")
        measured = {
            f"{model} on {kind}": each(lambda item, m=model: errors(client, item, m), items, f"{model} on {kind}")
            for model in get_args(Harmonizer)
            for kind, items in (("scenes", scenes), ("photographs", photographs))
        }
    report: dict[str, Any] = {
        "cris_iou": float(np.mean(overlap)),
        "vae_psnr": float(np.mean(restored)),
        "harmonizers": {name: summary(pairs) for name, pairs in measured.items()},
    }
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(json.dumps(report, indent=2) + "\n")
    print(f"\n{SCENES} scenes and {PHOTOGRAPHS} photographs, held out, {SIZE[0]}x{SIZE[1]}")
    print(f"cris: mean IoU {report['cris_iou']:.3f} on scenes")
    print(f"vae: mean PSNR of the reconstruction {report['vae_psnr']:.2f} dB on scenes")
    for name, row in report["harmonizers"].items():
        print(
            f"{name}: mean fMSE {row['fmse_before']:.0f} -> {row['fmse_after']:.0f}, ratio {row['ratio']:.3f}; "
            f"better on {row['improved']:.0%}"
        )
    return 0


def each(measure: Callable[..., object], items: Sequence[Any], title: str) -> NDArray[np.float64]:
    """`measure` of every item, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        return np.array(list(tqdm(pool.map(measure, items), title, total=len(items))))


def iou(client: Client, scene: Scene) -> float:
    """IoU of the mask that the scene's expression gives."""
    answer = client.segment(encode_png(scene.composite), scene.expression)
    return intersection_over_union(np.asarray(Image.open(BytesIO(answer.mask))), scene.mask)


def restore(networks: InferenceServerClient, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pixels [S, S, 3] through the VAE's encoder and decoder."""
    latent = run_network(networks, "vae_encoder", {"COMPOSITE": pixels}, "COMPOSITE_LATENT")
    decoded = run_network(networks, "vae_decoder", {"LATENT": latent}, "SMALL_RESULT")
    return as_pixels(decoded.transpose(1, 2, 0))


def errors(client: Client, composite: Scene | PhotoComposite, model: Harmonizer) -> tuple[float, float]:
    """fMSE before and after harmonizing with the true mask."""
    settings = Diffusion(seed=1, steps=5, resolution=SIZE[0]) if model == "diffharmony" else None
    answer = client.harmonize(
        encode_png(composite.composite), mask=encode_mask(composite.mask), model=model, diffusion=settings
    )
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
