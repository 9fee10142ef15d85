"""What people call the models that can be served, and which models of Triton stand behind each name."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Self

from concord.server.declared import catalogue, runs


@dataclass(frozen=True)
class Inventory:
    """The models that repositories can serve.

    Attributes:
        runs: by the name of each of Triton's models, those that it runs.
        pipelines: by public model, the names of its pipelines.
    """

    runs: Mapping[str, frozenset[str]] = field(default_factory=dict)
    pipelines: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, repositories: Sequence[Path], missing: Collection[str]) -> Self:
        """What is not among the missing; raises ServerFailure where a declaration cannot be read."""
        pipelines: defaultdict[str, set[str]] = defaultdict(set)
        for each in catalogue(repositories, missing).pipelines:
            pipelines[each.model].add(each.name)
        return cls(runs(repositories, missing), {model: frozenset(names) for model, names in pipelines.items()})

    def behind(self, public: Iterable[str]) -> frozenset[str]:
        """The pipelines of public models, and all that these run."""
        found: set[str] = set()
        waiting = [name for model in public for name in self.pipelines.get(model, ())]
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += self.runs[name]
        return frozenset(found)

    def own(self, public: str, networks: Collection[str]) -> frozenset[str]:
        """The networks of a public model, without those of other public models that it is built on."""
        found = {model: self.behind([model]) & frozenset(networks) for model in self.pipelines}
        return found[public].difference(*(other for other in found.values() if other < found[public]))

    def public(self, names: Collection[str]) -> frozenset[str]:
        """The public models that have a pipeline among these names."""
        return frozenset(model for model, pipelines in self.pipelines.items() if pipelines & set(names))

    def in_order(self, names: Collection[str]) -> tuple[str, ...]:
        """These names, each behind what it runs."""
        return tuple(name for name in TopologicalSorter(self.runs).static_order() if name in names)
