"""The fastest variants whose pictures pass their gate."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from concord.gates.gate import Gate, Served, verdict
from concord.gates.pictures import Answers, HeldOut, answered
from concord.instruments.pipelines import networks, stepping, steps
from concord.instruments.started_server import serving_variants
from concord.tuning.stopwatch import Say, Times
from concord.variants import DEFAULT, TUNED, Variant
from concord_client import Pipeline

Combination = tuple[Variant, ...]
"""A variant of every network of a group."""


@dataclass(frozen=True)
class Group:
    """Pipelines that share networks and therefore a choice, and all their networks; most are a group of their own."""

    pipelines: tuple[Pipeline, ...]
    networks: tuple[str, ...]

    @property
    def name(self) -> str:
        return " + ".join(pipeline.name for pipeline in self.pipelines)

    def runs(self, network: str) -> int:
        """How often one request to each of the pipelines runs a network."""
        users = [pipeline for pipeline in self.pipelines if network in networks(pipeline, self.networks)]
        return sum(steps(pipeline) if stepping(pipeline) == network else 1 for pipeline in users)

    def served(self, combination: Combination) -> list[Served]:
        """The pipelines with the networks of a combination."""
        chosen = {variant.model: variant for variant in combination}
        return [Served(each, tuple(chosen[name] for name in networks(each, chosen))) for each in self.pipelines]


def groups(pipelines: Iterable[Pipeline], known: Mapping[str, object]) -> list[Group]:
    """Groups of pipelines, by the networks among those known."""
    found: list[Group] = []
    for pipeline in pipelines:
        mine = networks(pipeline, known)
        shared = [group for group in found if set(group.networks) & set(mine)]
        members = tuple(each for group in shared for each in group.pipelines)
        theirs = (network for group in shared for network in group.networks)
        found = [group for group in found if group not in shared]
        found.append(Group((*members, pipeline), tuple(dict.fromkeys((*theirs, *mine)))))
    return found


@dataclass(frozen=True)
class Refusal:
    """A combination that is faster than the chosen one, and why its gate failed."""

    combination: Combination
    failed: Sequence[str]


@dataclass
class Choice:
    """The chosen combinations and their gates by the group's name (the default needs none), and what was refused."""

    combinations: dict[str, Combination] = field(default_factory=dict)
    gates: dict[str, Gate] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)

    def variant(self, model: str) -> Variant:
        return next(each for chosen in self.combinations.values() for each in chosen if each.model == model)

    def gate(self, model: str) -> Gate | None:
        """That of the pipelines that run a network."""
        groups = (name for name, chosen in self.combinations.items() if any(each.model == model for each in chosen))
        return self.gates.get(next(groups))


def choose(groups: Iterable[Group], times: Times, held_out: HeldOut, repositories: Sequence[Path], say: Say) -> Choice:
    """Tries every group's combinations, the fastest first, until one passes its gate; the default always passes.

    Raises:
        ConcordError, ConcordClientError: the server cannot be started with networks with which it was started before,
            or does not answer.
    """
    choice = Choice()
    timed = {variant.model for variant in times.milliseconds if variant.profile == DEFAULT}
    complete = {group.name: group for group in groups if timed.issuperset(group.networks)}
    waiting = {name: combinations(group, times) for name, group in complete.items()}
    tried = {name: next(each) for name, each in waiting.items()}
    reference: Answers = {}
    while tried:
        for name in [name for name, combination in tried.items() if not changed(combination)]:
            choice.combinations[name] = tried.pop(name)
        if not tried:
            break
        pipelines = [pipeline for name in tried for pipeline in complete[name].pipelines]
        if not reference:
            say(f"the default answers {', '.join(tried)}")
            with serving_variants({}, repositories) as server:
                reference = answered(server.grpc_url, pipelines, held_out)
        for name, combination in tried.items():
            say(f"asking for {name} of {in_words(combination)}")
        chosen = {variant.model: variant for combination in tried.values() for variant in combination}
        with serving_variants(chosen, repositories) as server:
            answers = answered(server.grpc_url, pipelines, held_out)
        for name, combination in list(tried.items()):
            gate = verdict(TUNED, complete[name].served(combination), held_out, reference, answers)
            if not gate.failed:
                choice.combinations[name] = tried.pop(name)
                choice.gates[name] = gate
                continue
            say(f"refused: {'; '.join(gate.failed)}")
            choice.refusals.append(Refusal(combination, gate.failed))
            refused = [set(changed(refusal.combination)) for refusal in choice.refusals]
            tried[name] = next(each for each in waiting[name] if not any(few <= set(each) for few in refused))
    return choice


def combinations(group: Group, times: Times) -> Iterator[Combination]:
    """Every combination of timed variants, the fastest for one request to each pipeline first."""

    def milliseconds(combination: Combination) -> float:
        return sum(group.runs(variant.model) * times.median(variant) for variant in combination)

    choices = [[each for each in times.milliseconds if each.model == model] for model in group.networks]
    return iter(sorted(product(*choices), key=milliseconds))


def changed(combination: Combination) -> Combination:
    """The variants other than the default."""
    return tuple(variant for variant in combination if variant.profile != DEFAULT)


def in_words(combination: Combination) -> str:
    return ", ".join(f"{variant.model} {variant.profile}" for variant in combination)
