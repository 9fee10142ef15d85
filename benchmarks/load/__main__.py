"""`python -m benchmarks.load`: puts a pipeline of a KServe v2 server under load, in closed or open loops.

Without a URL a server is started. With `--compare` an earlier result's recipe and the new one alternate.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.load.comparison import CONFIDENCE, FEWEST_PAIRS, Comparison, compare
from benchmarks.load.generator import generator
from benchmarks.load.measure import measure, serving
from benchmarks.load.recipe import TOOL, Recipe, read_json, read_recipe
from benchmarks.load.result import QUANTILES, LoadResult
from concord.errors import ConcordError, InvalidSetting
from concord.instruments.markdown import table
from concord.instruments.stages import SPENT
from concord.instruments.timing import machine

OUTPUT = Path("out/load_test.json")
COMPARISON = Path("out/load_comparison.json")
PAIRS = 10
REQUEST = 'a file with {"inputs": [{"name": ...}, ...]}'


def main(arguments: Sequence[str] | None = None) -> int:
    settings = vars(parse(arguments))
    base_path, output, pairs = (settings.pop(name) for name in ("compare", "output", "pairs"))
    try:
        if "request" in settings:
            settings["request"] = read_json(settings["request"], "data", REQUEST)
        if base_path is None:
            written, answered = measured(Recipe().changed(**settings), output or OUTPUT)
        else:
            base = read_recipe(base_path)
            written, answered = compared(base, base.changed(**settings), pairs, output or COMPARISON)
    except (ConcordError, OSError, RuntimeError) as error:
        print(f"load_test: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"\nwritten to {written}")
    return 0 if answered else 1


def measured(recipe: Recipe, output: Path) -> tuple[Path, bool]:
    """Runs the recipe's loads, prints and writes the results; whether each load had an answer."""
    with serving(recipe) as server, generator() as asking:
        recipe = server.resolved(recipe)
        destination = server.destination(recipe)
        results = [measure(asking, server, destination, load, recipe) for load in recipe.loads]
    print(f"{title(recipe)}, {recipe.seconds:g} s after {recipe.warm_up:g} s of warm-up")
    print(f"\n{results_table(results)}")
    for result in results:
        print_details(result)
    report = {"recipe": asdict(recipe), "loads": list(map(asdict, results))}
    return write(output, report), all(result.answered for result in results)


def compared(base: Recipe, here: Recipe, pairs: int, output: Path) -> tuple[Path, bool]:
    """Runs both recipes' loads alternately, prints and writes the comparison."""
    if base.loads != here.loads:
        before, now = (", ".join(load.name for load in recipe.loads) for recipe in (base, here))
        raise InvalidSetting("compare", f"the loads differ: {now}", before)
    with ExitStack() as stack:
        server = stack.enter_context(serving(base))
        other = server if base.server == here.server else stack.enter_context(serving(here))
        base, here = server.resolved(base), other.resolved(here)
        theirs, ours = server.destination(base), other.destination(here)
        asking = stack.enter_context(generator())
        comparisons = [compare(asking, load, theirs, ours, pairs, here.seconds, here.warm_up) for load in here.loads]
    print(f"base: {title(base)}\nhere: {title(here)}")
    print(f"{here.seconds:g} s each in {pairs} blocks, in turns; {here.warm_up:g} s of warm-up\n")
    print(comparison_table(comparisons))
    recipes = {"base_recipe": asdict(base), "recipe": asdict(here), "pairs": pairs}
    return write(output, recipes | {"comparisons": list(map(asdict, comparisons))}), True


def title(recipe: Recipe) -> str:
    profile = [f"profile {recipe.profile}"] if recipe.profile else []
    where = recipe.url or ", ".join(["a server of our own", *profile, *recipe.repositories])
    return f"{recipe.pipeline} on {where} ({machine()['processor']}, {machine()['threads']} threads)"


def results_table(results: list[LoadResult]) -> str:
    quantiles = [f"p{quantile}" for quantile in QUANTILES]
    rows = [
        [
            result.load,
            *(result.milliseconds.get(quantile, "") for quantile in quantiles),
            result.per_second,
            f"{result.asked - result.answered} of {result.asked}",
            f"unstable: {result.unstable}" if result.unstable else "stable",
        ]
        for result in results
    ]
    return table(["load", *(f"{quantile} ms" for quantile in quantiles), "answers/s", "errors", "measurement"], rows)


def print_details(result: LoadResult) -> None:
    """Prints errors by kind, the models' shares, and the server's CPU and memory."""
    for kind, error in result.errors.items():
        print(f"\n{result.load}: {error['count']} x {kind}: {error['words']}")
    if result.stages:
        header = [f"{result.load}: model", "requests", "mean batch", *(f"{kind} ms" for kind in SPENT)]
        rows = [
            [name, stage.requests, stage.batch, *(getattr(stage, kind) for kind in SPENT)]
            for name, stage in result.stages.items()
        ]
        print(f"\n{table(header, rows)}")
    if result.server:
        cores = result.server["cpu_seconds"] / result.server["seconds"]
        print(
            f"\n{result.load}: server {result.server['cpu_seconds']:.1f} s of CPU ({cores:.2f} cores), "
            f"{result.server['mib']:.0f} MiB, at most {result.server['peak_mib']:.0f} MiB"
        )


def comparison_table(comparisons: list[Comparison]) -> str:
    rows = [
        [each.load, name, f"{ratio.ratio:.3f}", f"{ratio.low:.3f} to {ratio.high:.3f}", ratio.verdict]
        for each in comparisons
        for name, ratio in (("p50", each.p50), ("answers/s", each.throughput))
    ]
    return table(["load", "measure", "here over base", f"{CONFIDENCE:.0%} interval", "verdict"], rows)


def write(path: Path, report: Mapping[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"tool": TOOL, "machine": machine()} | dict(report), indent=2) + "\n")
    return path


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The flags. Flags of the recipe are present only if they were given, so that the others keep the base's values."""
    defaults = Recipe()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.load", description=__doc__, argument_default=argparse.SUPPRESS
    )
    parser.add_argument("--url", help="HOST:PORT of gRPC, or http://HOST:PORT; without it a server is started")
    parser.add_argument("--protocol", choices=("grpc", "http"), help="for a server that is started; default: grpc")
    parser.add_argument("--profile", metavar="NAME", help="profile of the server that is started")
    parser.add_argument(
        "--model-repository",
        dest="repositories",
        nargs="+",
        type=lambda folder: str(Path(folder).absolute()),
        metavar="DIR",
        help="folders with models of the server that is started",
    )
    parser.add_argument("--pipeline", metavar="NAME", help="default: what harmonizes a text's object first")
    parser.add_argument("--width", type=int, help=f"of the photograph; default: {defaults.width}")
    parser.add_argument("--height", type=int, help=f"default: {defaults.height}")
    parser.add_argument("--data", dest="request", type=Path, metavar="FILE", help="KServe's JSON of a request")
    parser.add_argument("--clients", nargs="+", type=int, metavar="N", help="closed loops; default: 1")
    parser.add_argument("--rate", dest="rates", nargs="+", type=float, metavar="R", help="open loops, requests/s")
    parser.add_argument("--seed", type=int, help=f"of the open loops' arrivals; default: {defaults.seed}")
    parser.add_argument("--warm-up", type=float, metavar="SECONDS", help=f"default: {defaults.warm_up:g}")
    parser.add_argument("--seconds", type=float, help=f"of each load; default: {defaults.seconds:g}")
    parser.add_argument("--window", type=float, metavar="SECONDS", help="default: a fifth of the seconds")
    parser.add_argument(
        "--tolerance", type=float, metavar="PERCENT", help=f"that windows may differ; default: {defaults.tolerance:g}"
    )
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help=f"default: {defaults.timeout:g}")
    parser.add_argument("--compare", type=Path, default=None, metavar="BASE.json", help="the result of an earlier run")
    parser.add_argument("--pairs", type=int, default=PAIRS, help=f"of blocks to compare; default: {PAIRS}")
    parser.add_argument("--output", type=Path, default=None, metavar="FILE")
    given = parser.parse_args(arguments)
    if given.pairs < FEWEST_PAIRS:
        parser.error(f"--pairs is {given.pairs}; allowed: {FEWEST_PAIRS} or more")
    for name in ("clients", "rates", "repositories"):
        if hasattr(given, name):
            setattr(given, name, tuple(getattr(given, name)))
    # A flag for one kind of loop switches the other kind's default off.
    if hasattr(given, "rates") != hasattr(given, "clients"):
        given.clients, given.rates = getattr(given, "clients", ()), getattr(given, "rates", ())
    return given


if __name__ == "__main__":
    sys.exit(main())
