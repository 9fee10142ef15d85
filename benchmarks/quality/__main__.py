"""`python -m benchmarks.quality --dataset DIR`: the served pipeline on data in iHarmony4's layout, as published.

Pictures are scored at 256 x 256. Results are kept: the same command continues a stopped run.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm  # type: ignore[import-untyped]

from annotation.iharmony4 import Dataset, Sample, read_dataset, read_expressions
from annotation.record import DatasetError
from annotation.scored import iou, resized
from benchmarks.quality.scores import Result, score, side_by_side, tables
from concord.errors import ConcordError
from concord.masks import encode_mask
from concord.png import encode_png
from concord.server.embedded import EmbeddedServer, Ports
from concord_client import Client, Harmonize, InvalidInput, Pipeline
from concord_client.errors import ConcordClientError

OUTPUT = Path("out/quality")
AT_ONCE = 2
ALL = "all"


class LeftOut(Exception):
    """A composite that cannot be scored; the text says why."""


def main(given: Sequence[str] | None = None) -> int:
    arguments = parse(given)
    try:
        dataset = read_dataset(arguments.dataset)
        expressions = read_expressions(arguments.expressions) if arguments.expressions else None
        with client_of(arguments.url) as client:
            asked = {"IMAGE", "MASK" if expressions is None else "TEXT"}
            found = {pipeline.model: pipeline for pipeline in chosen(client, arguments.model or [], asked)}
            folders = {model: arguments.output / model if len(found) > 1 else arguments.output for model in found}
            scored = {
                model: report(arguments, folders[model], client, pipeline, dataset, expressions)
                for model, pipeline in found.items()
            }
            if len(found) > 1:
                text = f"MSE / fMSE{' / IoU' if expressions is not None else ''}\n\n{side_by_side(scored)}\n"
                (arguments.output / "report.md").write_text(text)
                print(f"{text}\nwritten to {arguments.output / 'report.md'}")
    except (ConcordError, ConcordClientError, DatasetError, OSError) as error:
        print(f"quality: {error}", file=sys.stderr)
        return 1
    return 0


def chosen(client: Client, models: Sequence[str], given: set[str]) -> list[Pipeline]:
    """The pipelines of these harmonizers; of `ALL` that can be given this; of the first one without a name."""
    catalogue = client.catalogue()
    if models == [ALL]:
        models = list(dict.fromkeys(each.model for each in catalogue.of_task(Harmonize.TASK) if each.takes(given)))
    names = models or (None,)
    return [catalogue.choose(Harmonize.TASK, name, given, streams=True) for name in names]


def report(
    arguments: argparse.Namespace,
    output: Path,
    client: Client,
    pipeline: Pipeline,
    dataset: Dataset,
    expressions: dict[str, str] | None,
) -> list[Result]:
    """Measures what is left of the dataset, and writes the results and the report; all results."""
    settings = {
        "dataset": str(arguments.dataset.resolve()),
        "model": pipeline.model,
        "settings": {"seed": 0} if "SEED" in pipeline.settings else {},
        "expressions": str(arguments.expressions.resolve()) if arguments.expressions else None,
        "full_resolution": arguments.full_resolution,
    }
    done = resume(output, settings)
    named = [sample for sample in dataset.samples if expressions is None or sample.name in expressions]
    left_out = list(dataset.missing)
    left_out += [f"{sample.name}: no expression" for sample in dataset.samples if sample not in named]
    waiting = [sample for sample in named if sample.name not in done][: arguments.limit]
    with (output / "results.jsonl").open("a") as results:
        for sample, outcome in measured(client, waiting, settings, expressions or {}):
            if isinstance(outcome, LeftOut):
                left_out.append(f"{sample.name}: {outcome}")
            else:
                done[sample.name] = outcome
                print(json.dumps(outcome), file=results, flush=True)
    write_report(output, settings, dataset, list(done.values()), sorted(left_out))
    return list(done.values())


def measured(
    client: Client, samples: list[Sample], settings: dict[str, Any], expressions: dict[str, str]
) -> Iterator[tuple[Sample, Result | LeftOut]]:
    """Each sample's result, as soon as it is known."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        asked = {
            pool.submit(measure, client, sample, settings, expressions.get(sample.name)): sample for sample in samples
        }
        try:
            for answer in tqdm(as_completed(asked), "harmonizing", len(asked)):
                try:
                    yield asked[answer], answer.result()
                except LeftOut as reason:
                    yield asked[answer], reason
        finally:
            pool.shutdown(cancel_futures=True)


def measure(client: Client, sample: Sample, settings: dict[str, Any], expression: str | None) -> Result:
    """Harmonizes a composite by its expression or its mask, and scores it.

    Raises:
        LeftOut: a file is not an image, the mask is empty, or the server refuses them.
    """
    try:
        composite, real = (pixels(path) for path in (sample.composite, sample.real))
        mask = np.where(np.asarray(Image.open(sample.mask).convert("L")) > 127, 255, 0).astype(np.uint8)
        small_mask = resized(mask, Image.Resampling.NEAREST)
        if not small_mask.any():
            raise LeftOut("the mask is empty")
        sent, sent_mask = (composite, mask) if settings["full_resolution"] else (resized(composite), small_mask)
        request = Harmonize(
            encode_png(sent), text=expression, mask=encode_mask(sent_mask) if expression is None else None
        )
        answer = client.run(request, model=settings["model"], settings=settings["settings"])
    except (UnidentifiedImageError, OSError, InvalidInput) as error:
        raise LeftOut(str(error)) from error
    truth = resized(real)
    harmonized = resized(np.asarray(Image.open(BytesIO(answer.image)).convert("RGB")))
    return Result(
        name=sample.name,
        subset=sample.subset,
        ratio=float((small_mask > 0).mean()),
        composite=score(resized(composite), truth, small_mask),
        harmonized=score(harmonized, truth, small_mask),
        iou=None if expression is None else iou(answer.mask or b"", small_mask),
    )


def pixels(path: Path) -> NDArray[np.uint8]:
    """A file as uint8 RGB [H, W, 3]."""
    return np.asarray(Image.open(path).convert("RGB"))


@contextmanager
def client_of(url: str | None) -> Iterator[Client]:
    """A client of the server at `url`, or of one that is started."""
    with ExitStack() as stack:
        url = url or stack.enter_context(EmbeddedServer(ports=Ports(0, 0, 0))).grpc_url
        yield stack.enter_context(Client(url, timeout=None))


def resume(output: Path, settings: dict[str, Any]) -> dict[str, Result]:
    """Results of an earlier run by name, without an incomplete line; DatasetError if it had other settings."""
    output.mkdir(parents=True, exist_ok=True)
    path = output / "settings.json"
    if not path.exists():
        path.write_text(json.dumps(settings) + "\n")
    elif json.loads(path.read_text()) != settings:
        raise DatasetError(f"{output} holds results of other settings; choose another --output")
    results = output / "results.jsonl"
    lines = results.read_text().splitlines(keepends=True) if results.is_file() else []
    whole = [line for line in lines if line.endswith("\n")]
    results.write_text("".join(whole))
    return {result["name"]: result for result in map(json.loads, whole)}


def write_report(
    output: Path, settings: dict[str, Any], dataset: Dataset, results: list[Result], left_out: list[str]
) -> None:
    """Prints the tables and the skipped composites, and writes both as `report.md`."""
    results = sorted(results, key=lambda result: result["name"])
    listed = len(dataset.samples) + len(dataset.missing)
    lines = [f"{settings['model']}: {len(results)} of {listed} composites, {len(left_out)} left out", ""]
    lines += [tables(results) if results else "nothing was scored"]
    lines += ["", "left out:", *(f"- {line}" for line in left_out)] if left_out else []
    report = "\n".join(lines) + "\n"
    (output / "report.md").write_text(report)
    print(f"\n{report}\nwritten to {output / 'report.md'}")


def parse(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("--dataset", type=Path, required=True, metavar="DIR", help="with HCOCO, HAdobe5k, ... in it")
    parser.add_argument(
        "--model",
        nargs="+",
        metavar="NAME",
        help=f"harmonizers of the server, side by side where there are several; {ALL}: every one; default: its first",
    )
    parser.add_argument("--expressions", type=Path, metavar="FILE", help="JSON lines: find the objects by these texts")
    parser.add_argument("--url", help="host:port of a server's gRPC; without it one is started")
    parser.add_argument("--output", type=Path, default=OUTPUT, metavar="DIR", help=f"default: {OUTPUT}")
    parser.add_argument("--limit", type=int, metavar="N", help="no more than so many composites this time")
    parser.add_argument(
        "--full-resolution",
        action="store_true",
        help="harmonize the photographs as they are; without it at 256 x 256, as published",
    )
    return parser.parse_args(given)


if __name__ == "__main__":
    sys.exit(main())
