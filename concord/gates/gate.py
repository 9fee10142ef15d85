"""`python -m concord.gates PROFILE`: whether a profile's pictures are as good as those of the FP32 default.

Both answer the same held-out scenes and photographs, one server after the other. The records of the profile's networks
say how much their answers differ from those of the network they were built from.
"""

import argparse
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Self

from concord.errors import ConcordError, InvalidSetting
from concord.gates.pictures import Answers, HeldOut, answered, gated
from concord.gates.thresholds import GATES, Measure, in_words, measures, written
from concord.instruments import pipelines as instruments
from concord.instruments.arguments import positive
from concord.instruments.markdown import table
from concord.instruments.started_server import serving
from concord.server.installation import MODEL_REPOSITORIES
from concord.variants import DEFAULT, Comparison, Variant, coarsest, variants
from concord_client import ConcordClientError, Pipeline, ServerError

PICTURES = 64
PASSED, FAILED = "passed", "**failed**"


@dataclass(frozen=True)
class Served:
    """A pipeline, and the networks that it runs as they are served."""

    pipeline: Pipeline
    variants: tuple[Variant, ...]

    @property
    def made(self) -> bool:
        """Whether all of their files are there."""
        return all(variant.made for variant in self.variants)


@dataclass(frozen=True)
class Tensors:
    """What a network's record says: `Comparison`, if there is one, the engine that it used, and `Variant.problem`."""

    model: str
    file: str
    precision: str
    engine: str
    measure: str
    value: float | None
    threshold: float | None
    problem: str

    @classmethod
    def of(cls, variant: Variant) -> Self:
        compared = variant.comparison
        engine = variant.compared_in if compared else ""
        measure, value, threshold = astuple(compared) if compared else ("", None, None)
        return cls(variant.model, variant.file, variant.precision, engine, measure, value, threshold, variant.problem())

    @property
    def compared(self) -> str:
        """The record's comparison in words."""
        if self.value is None or self.threshold is None:
            return ""
        return f"{self.engine}: {self.measure} {Comparison(self.measure, self.value, self.threshold)}"


@dataclass(frozen=True)
class Gate:
    """The result of a profile's gate: by pipeline the coarsest precision, and a sentence for each failure."""

    profile: str
    precisions: dict[str, str]
    measures: list[Measure]
    tensors: list[Tensors]
    failed: list[str]


def gates(
    profiles: Collection[str],
    pictures: int = PICTURES,
    repositories: Iterable[Path] = MODEL_REPOSITORIES,
    url: str = "",
) -> dict[str, Gate]:
    """Compares profiles with the default, which answers once.

    Args:
        pictures: number of scenes, and of composites of photographs.
        url: ``host:port`` of the gRPC of a server that serves the profile already; without it one is started.

    Raises:
        InvalidSetting: no network has the profile, or none of its files exists.
        ConcordError, ConcordClientError: a server cannot be started, or does not answer.
    """
    folders = tuple(repositories)
    networks, pipelines = variants(folders), gated(folders)
    changed = {profile: served(profile, pipelines.values(), networks) for profile in profiles}
    complete = {profile: [each.pipeline for each in found if each.made] for profile, found in changed.items()}
    held_out = HeldOut.draw(pictures)
    asked = {pipeline.name for each in complete.values() for pipeline in each}
    with serving(folders) as server:
        reference = answered(server.grpc_url, (pipelines[name] for name in sorted(asked)), held_out)
    results = {}
    for profile, each in complete.items():
        if url:
            answers = answered(url, each, held_out)
        else:
            with serving(folders, profile) as server:
                answers = answered(server.grpc_url, each, held_out)
        results[profile] = verdict(profile, changed[profile], held_out, reference, answers)
    return results


def served(profile: str, pipelines: Iterable[Pipeline], networks: Mapping[str, Mapping[str, Variant]]) -> list[Served]:
    """The pipelines that a profile changes. Their networks without the profile keep the default.

    Raises:
        InvalidSetting: no network has the profile, or none of its files exists.
    """
    found = []
    for pipeline in pipelines:
        models = instruments.networks(pipeline, networks)
        chosen = tuple(networks[model].get(profile, networks[model][DEFAULT]) for model in models)
        if any(variant.profile == profile for variant in chosen):
            found.append(Served(pipeline, chosen))
    if not any(variant.made for each in found for variant in each.variants if variant.profile == profile):
        made = {each.profile for profiles in networks.values() for each in profiles.values() if each.made}
        raise InvalidSetting("PROFILE", f"no file of {profile!r} has been made", ", ".join(sorted(made)))
    return found


def verdict(
    profile: str, pipelines: Collection[Served], held_out: HeldOut, reference: Answers, answers: Answers
) -> Gate:
    """Compares a profile's answers with the default's. A pipeline without answers lacks a file and fails.

    Raises:
        ServerError: the default failed.
    """
    precisions = {each.pipeline.name: coarsest(variant.precision for variant in each.variants) for each in pipelines}
    found: list[Measure] = []
    failed = []
    for pipeline in (each.pipeline for each in pipelines if each.pipeline.name in answers):
        name = pipeline.name
        before, after = reference[name], answers[name]
        if isinstance(before, ServerError):
            raise before
        if isinstance(after, ServerError):
            failed.append(f"{name}: {after}")
        else:
            found += measures(pipeline, held_out, before, after, GATES[precisions[name]])
    failed += [in_words(measure) for measure in found if not measure.passed]
    # Pipelines that share a network share what its record says.
    tensors = [Tensors.of(each) for each in dict.fromkeys(each for served in pipelines for each in served.variants)]
    failed += [f"{each.model}: {each.problem}" for each in tensors if each.problem]
    return Gate(profile, precisions, found, tensors, failed)


def tables(gate: Gate) -> str:
    """Markdown tables: every measure with its threshold, then every network's record."""
    pictures, tensors = [], []
    for each in gate.measures:
        asked = (each.pipeline, gate.precisions[each.pipeline], f"{each.count} {each.pictures}")
        pictures.append([*asked, *written(each), PASSED if each.passed else FAILED])
    for row in gate.tensors:
        result = f"{FAILED}: {row.problem}" if row.problem else PASSED
        tensors.append([f"`{row.model}`", f"`{row.file}`", row.precision, row.compared, result])
    first = table(["pipeline", "precision", "pictures", "measure", "value", "allowed", ""], pictures)
    return first + "\n\n" + table(["network", "file", "precision", "tensors", ""], tensors)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m concord.gates", description=__doc__)
    parser.add_argument("profile", metavar="PROFILE", help=f"one of the networks' folders, or {DEFAULT}")
    parser.add_argument("--pictures", type=positive, default=PICTURES, metavar="N", help="of each kind (%(default)s)")
    parser.add_argument("--model-repository", type=Path, action="append", metavar="DIR", help="may be given repeatedly")
    parser.add_argument("--url", default="", help="host:port of the gRPC of a server with that profile, a container's")
    args = parser.parse_args(arguments)
    try:
        repositories = args.model_repository or MODEL_REPOSITORIES
        [gate] = gates([args.profile], args.pictures, repositories, args.url).values()
    except (ConcordError, ConcordClientError) as error:
        print(f"gates: {error}", file=sys.stderr)
        return 1
    print(tables(gate))
    for failure in gate.failed:
        print(f"gates: {args.profile} failed: {failure}", file=sys.stderr)
    return int(bool(gate.failed))
