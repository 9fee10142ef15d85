"""`concord serve` with every model that has demo weights: what all its processes have in memory."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.drills.kills import pipelines
from benchmarks.drills.service import serving
from concord.instruments.markdown import gigabytes, table
from concord.instruments.memory import MIB, by_model
from concord_client import Client
from concord_client.tasks import TASKS
from facade.work.requests import smallest

MOST_MIB = 3e9 / MIB


@dataclass(frozen=True)
class Numbers:
    """MiB by process, when the server is ready and after every model was asked once with its own settings."""

    models: list[str]
    ready: dict[str, float]
    asked: dict[str, float]


def measure() -> Numbers:
    kinds = {task.TASK: task for task in TASKS}
    with TemporaryDirectory() as folder, serving(Path(folder)) as service:
        ready = by_model(service.processes())
        with Client(service.grpc_url, timeout=None) as client:
            chosen = pipelines(client.catalogue())
            for pipeline in chosen:
                request, _ = smallest(kinds[pipeline.task], pipeline)
                client.run(request, model=pipeline.model)
        asked = by_model(service.processes())
    return Numbers([each.model for each in chosen], in_mib(ready), in_mib(asked))


def in_mib(sizes: Mapping[str, int]) -> dict[str, float]:
    return {name: size / MIB for name, size in sizes.items()}


def section(numbers: Numbers) -> str:
    ready, asked = (sum(each.values()) for each in (numbers.ready, numbers.asked))
    rows = [
        [f"`{name}`", numbers.ready.get(name, 0.0), size]
        for name, size in sorted(numbers.asked.items(), key=lambda item: -item[1])
    ]
    models = ", ".join(f"`{each}`" for each in numbers.models)
    return (
        f"## Memory of all models that have demo weights\n\n`concord serve` with {models} has {gigabytes(ready)} when "
        f"it is ready and {gigabytes(asked)} after each was asked once, with its own settings; at most "
        f"{gigabytes(MOST_MIB)} is the goal. Pages that processes share count once.\n\n"
        f"{table(['process', 'ready, MiB', 'asked, MiB'], rows)}"
    )
