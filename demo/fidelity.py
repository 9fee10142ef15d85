"""`python -m demo.fidelity`: detail that the transfer to full resolution keeps and that decoding the latent loses.

Parts of photographs with faces and writing are given other light and harmonized by diffusion on the real server. The
picture that the VAE decodes, enlarged to the photograph's size as DiffHarmony does, is compared with Concord's answer.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import InferenceServerClient  # type: ignore[import-untyped]

from concord.arrays import as_pixels
from concord.gates.metrics import foreground_mse
from concord.instruments.networks import run_network
from concord.limits import Limits
from concord.loops.diffharmony import DiffHarmony
from concord.loops.host import Sample
from concord.loops.request import LoopRequest
from concord.masks import encode_mask
from concord.png import encode_png
from concord.scenes.photographs import bundled, change_foreground, read_photograph
from concord.server.declared import catalogue
from concord.server.embedded import EmbeddedServer, Ports
from concord_client.catalogue import Pipeline
from demo.pictures import decoded, side_by_side

OUTPUT = Path("out/fidelity")
PICTURES = ("composite", "decoded", "transferred")
GAP = 6  # pixels between the pictures of a row

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Subject:
    """A small, familiar thing in a photograph: an ellipse in pixels."""

    name: str
    package: str
    filename: str
    centre: tuple[int, int]
    axes: tuple[int, int]


SUBJECTS = (
    Subject("face", "skimage.data", "astronaut.png", (226, 108), (74, 88)),
    Subject("badge", "skimage.data", "astronaut.png", (171, 386), (46, 46)),
    Subject("printed page", "skimage.data", "page.png", (190, 90), (120, 60)),
    Subject("lettering", "skimage.data", "motorcycle_left.png", (415, 205), (75, 40)),
)


class ServerHost:
    """`concord.loops.host.Host` that asks a server's networks, and keeps what one of them returned."""

    def __init__(self, client: InferenceServerClient, kept: str) -> None:
        self._client = client
        self._kept = kept
        self.answer: NDArray[np.float32] = np.empty(0, np.float32)

    async def ask(self, model: str, inputs: Sample, outputs: Sequence[str]) -> Sample:
        [output] = outputs
        answer = await asyncio.to_thread(run_network, self._client, model, inputs, output)
        if model == self._kept:
            self.answer = answer
        return {output: answer}

    async def ask_together(self, model: str, samples: Sequence[Sample], outputs: Sequence[str]) -> list[Sample]:
        return [await self.ask(model, sample, outputs) for sample in samples]

    async def compute(self, function: Callable[..., _Value], *arguments: Any) -> _Value:
        return function(*arguments)

    def stepping(self, model: str) -> AbstractContextManager[None]:
        return nullcontext()

    async def report(self, step: int, total: int, preview: bytes) -> None:
        pass


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resolution", type=int, default=512, help="side of the square that is denoised")
    parser.add_argument("--subjects", type=int, default=len(SUBJECTS), help="how many parts of photographs")
    arguments = parser.parse_args()
    OUTPUT.mkdir(parents=True, exist_ok=True)
    with EmbeddedServer(ports=Ports(0, 0, 0)) as server, InferenceServerClient(server.grpc_url) as client:
        pipeline = decoding_pipeline(server)
        subjects = SUBJECTS[: arguments.subjects]
        rows = [compare(client, pipeline, subject, arguments.resolution, OUTPUT) for subject in subjects]
    (OUTPUT / "report.json").write_text(json.dumps(rows, indent=2) + "\n")
    print_table(rows)
    print(f"\ncrops (composite, decoded, transferred, truth) and report.json are in {OUTPUT}/")
    return 0


def decoding_pipeline(server: EmbeddedServer) -> Pipeline:
    """The server's first pipeline that harmonizes in steps and decodes a latent."""
    pipelines = catalogue(server.model_repositories, server.roster.unexported).pipelines
    return next(each for each in pipelines if each.task == "harmonize" and each.has_steps and "decoder" in each.parts)


def compare(
    client: InferenceServerClient, pipeline: Pipeline, subject: Subject, resolution: int, folder: Path
) -> dict[str, Any]:
    """One subject's row of the report; writes its crops into a folder."""
    truth = read_photograph(subject.package, subject.filename)
    mask = np.zeros(truth.shape[:2], np.uint8)
    cv2.ellipse(mask, subject.centre, subject.axes, 0, 0, 360, (255,), -1)
    composite = change_foreground(np.random.default_rng(1), truth, mask, bundled().references)
    assert composite is not None
    inputs = {"IMAGE": encode_png(composite), "MASK": encode_mask(mask), "SEED": 1, "RESOLUTION": resolution}
    request = LoopRequest.read(pipeline, inputs)
    host = ServerHost(client, request.models["decoder"])
    answer = asyncio.run(DiffHarmony(request, host, Limits()).run())
    harmonized = decoded(answer["HARMONIZED"])
    pictures = dict(zip(PICTURES, (composite, drawn_at(host.answer, *truth.shape[:2]), harmonized), strict=True))
    write_crops(folder / f"{subject.name.replace(' ', '_')}.png", [*pictures.values(), truth], subject)
    return {"subject": subject.name} | {
        name: {
            "sharpness": sharpness(picture, mask) / sharpness(truth, mask),
            "outside": float(np.abs(picture.astype(np.int16) - truth)[mask == 0].mean()),
            "fmse": foreground_mse(picture, truth, mask),
        }
        for name, picture in pictures.items()
    }


def print_table(rows: list[dict[str, Any]]) -> None:
    measures = (("sharpness", ".2f"), ("outside", ".2f"), ("fmse", ".0f"))
    print("\nsharpness inside the mask (1: the truth's), grey levels of error outside it, fMSE inside it")
    for row in rows:
        for name in PICTURES:
            values = "  ".join(f"{measure} {format(row[name][measure], form):>6}" for measure, form in measures)
            print(f"  {row['subject']:14}{name:13}{values}")


def drawn_at(result: NDArray[np.float32], height: int, width: int) -> NDArray[np.uint8]:
    """A network's result, fp32 [3, S, S] of 0..1, as uint8 [height, width, 3]."""
    pixels = cv2.resize(result.transpose(1, 2, 0), (width, height), interpolation=cv2.INTER_CUBIC)
    return as_pixels(np.asarray(pixels, np.float32))


def sharpness(picture: NDArray[np.uint8], mask: NDArray[np.uint8]) -> float:
    """Standard deviation of the luminance's Laplacian over the mask without its edge (Pech-Pacheco et al., 2000)."""
    inside = cv2.erode(mask, np.ones((9, 9), np.uint8)) > 0
    laplacian = cv2.Laplacian(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.CV_32F)
    return float(laplacian[inside].std())


def write_crops(path: Path, pictures: Sequence[NDArray[np.uint8]], subject: Subject) -> None:
    """Crops around the subject from each picture, enlarged three times, side by side."""
    (x, y), (width, height) = subject.centre, subject.axes
    box = (slice(max(0, y - height - 8), y + height + 8), slice(max(0, x - width - 8), x + width + 8))
    crops = [cv2.resize(picture[box], None, fx=3, fy=3, interpolation=cv2.INTER_NEAREST) for picture in pictures]
    path.write_bytes(encode_png(side_by_side(crops, GAP)))


if __name__ == "__main__":
    sys.exit(main())
