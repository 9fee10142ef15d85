"""The fastest variants whose pictures pass their gate."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

from concord.gates.gate import Gate, answered, verdict
from concord.gates.pictures import NETWORKS, Answers, HeldOut
from concord.instruments.started_server import serving
from concord.loops.request import DEFAULT_STEPS
from concord.tuning.arrangement import arrange
from concord.tuning.stopwatch import Say, Times
from concord.variants import DEFAULT, TUNED, Variant

RUNS = {"unet": DEFAULT_STEPS}  # of a network in one request, where it is not 1

Combination = tuple[Variant, ...]
"""A variant of every network of a pipeline."""


@dataclass(frozen=True)
class Refusal:
    """A combination that is faster than the chosen one, and why its gate failed."""

    combination: Combination
    failed: Sequence[str]


@dataclass
class Choice:
    """The chosen variants.

    Attributes:
        combinations: by pipeline.
        gates: by pipeline, that of its combination; none for the default, which needs none.
        refusals: in the order in which they were tried.
    """

    combinations: dict[str, Combination] = field(default_factory=dict)
    gates: dict[str, Gate] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)

    def variant(self, model: str) -> Variant:
        """The chosen variant of a network."""
        return next(each for chosen in self.combinations.values() for each in chosen if each.model == model)

    def pipeline(self, model: str) -> str:
        """The pipeline that runs a network."""
        return next(name for name in self.combinations if model in NETWORKS[name])


def choose(times: Times, held_out: HeldOut, repositories: Sequence[Path], say: Say) -> Choice:
    """Tries every pipeline's combinations, the fastest first, until one passes its gate; the default always passes.

    Raises:
        ConcordError, ConcordClientError: the server cannot be started with networks with which it was started before,
            or does not answer.
    """
    choice = Choice()
    waiting = {name: combinations(name, times) for name in NETWORKS if timed(name, times)}
    tried = {name: next(each) for name, each in waiting.items()}
    reference: Answers = {}
    while tried:
        for name in [name for name, combination in tried.items() if is_default(combination)]:
            choice.combinations[name] = tried.pop(name)
        if not tried:
            break
        if not reference:
            say(f"the default answers {', '.join(tried)}")
            reference = serve({}, tried, held_out, repositories)
        for name, combination in tried.items():
            say(f"asking for {name} of {in_words(combination)}")
        chosen = {variant.model: variant for combination in tried.values() for variant in combination}
        answers = serve(chosen, tried, held_out, repositories)
        for name, combination in list(tried.items()):
            gate = verdict(TUNED, {name: combination}, held_out, reference, answers)
            if not gate["failed"]:
                choice.combinations[name] = tried.pop(name)
                choice.gates[name] = gate
                continue
            say(f"refused: {'; '.join(gate['failed'])}")
            choice.refusals.append(Refusal(combination, gate["failed"]))
            refused = [set(changed(refusal.combination)) for refusal in choice.refusals]
            tried[name] = next(each for each in waiting[name] if not any(few <= set(each) for few in refused))
    return choice


def serve(
    chosen: Mapping[str, Variant], pipelines: Iterable[str], held_out: HeldOut, repositories: Sequence[Path]
) -> Answers:
    """The answers of pipelines that are served with the chosen variants, and with the default elsewhere."""
    with TemporaryDirectory() as folder:
        repository = arrange(Path(folder), chosen, repositories)
        with serving([repository]) as server:
            return answered(server.grpc_url, pipelines, held_out)


def combinations(pipeline: str, times: Times) -> Iterator[Combination]:
    """Every combination of timed variants, the fastest first."""
    choices = [[each for each in times.milliseconds if each.model == model] for model in NETWORKS[pipeline]]
    return iter(sorted(product(*choices), key=lambda combination: milliseconds(combination, times)))


def milliseconds(combination: Combination, times: Times) -> float:
    """Time of the networks for one request."""
    return sum(RUNS.get(variant.model, 1) * times.median(variant) for variant in combination)


def timed(pipeline: str, times: Times) -> bool:
    """Whether the default of every network was timed."""
    defaults = {variant.model for variant in times.milliseconds if variant.profile == DEFAULT}
    return defaults.issuperset(NETWORKS[pipeline])


def changed(combination: Combination) -> Combination:
    """The variants other than the default."""
    return tuple(variant for variant in combination if variant.profile != DEFAULT)


def is_default(combination: Combination) -> bool:
    return not changed(combination)


def in_words(combination: Combination) -> str:
    return ", ".join(f"{variant.model} {variant.profile}" for variant in combination)
