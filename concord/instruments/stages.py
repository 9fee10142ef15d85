"""Triton's statistics by model, as differences between two readings."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from tritonclient.grpc import InferenceServerClient  # type: ignore[import-untyped]

Statistics = dict[str, Any]
SPENT = ("queue", "compute_input", "compute_infer", "compute_output")


def read_statistics(grpc_url: str) -> Statistics:
    """Triton's cumulative inference statistics by model name (they include the warm-up).

    Ensembles are left out, because their times are sums of their stages'.
    """
    with InferenceServerClient(grpc_url) as client:
        models = client.get_inference_statistics(as_json=True)["model_stats"]
    return {model["name"]: model for model in models if not _is_ensemble(grpc_url, model["name"])}


@cache
def _is_ensemble(grpc_url: str, model: str) -> bool:
    with InferenceServerClient(grpc_url) as client:
        return "ensemble_scheduling" in client.get_model_config(model, as_json=True)["config"]


@dataclass(frozen=True)
class Stage:
    """One model's work between two readings: the requests, the mean size of a run, and means per request in ms."""

    requests: int
    batch: float
    queue: float
    compute_input: float
    compute_infer: float
    compute_output: float

    @property
    def milliseconds(self) -> float:
        """Total time: queue, copies and computation."""
        return float(sum(getattr(self, kind) for kind in SPENT))


def stages(before: Statistics, after: Statistics) -> dict[str, Stage]:
    """What each model did between two readings, but for those that answered nothing."""
    found = {}
    for name, model in after.items():
        earlier = before.get(name, {"inference_stats": {}})
        requests = count(model, "success", "count") - count(earlier, "success", "count")
        if requests:
            spent = {kind: count(model, kind, "ns") - count(earlier, kind, "ns") for kind in SPENT}
            answered, ran = inferences(model) - inferences(earlier), runs(model) - runs(earlier)
            means = {kind: nanoseconds / requests / 1e6 for kind, nanoseconds in spent.items()}
            found[name] = Stage(requests, answered / max(ran, 1), **means)
    return found


def stage_milliseconds(before: Statistics, after: Statistics) -> dict[str, float]:
    """Mean milliseconds of a request in each model between two readings: queue, copies and computation."""
    return {name: stage.milliseconds for name, stage in stages(before, after).items()}


def count(model: dict[str, Any], kind: str, field: str) -> int:
    """One number of a model's statistics. Protobuf's JSON omits zeros and writes 64-bit numbers as text."""
    return int(model["inference_stats"].get(kind, {}).get(field, 0))


def inferences(model: dict[str, Any]) -> int:
    """Inferences of a model that have finished, whatever requests they were of."""
    return int(model.get("inference_count", 0))


def runs(model: dict[str, Any]) -> int:
    """Runs that a model took for them; a run of a batch is one."""
    return int(model.get("execution_count", 0))


def mean_batch(model: str, readings: Iterable[tuple[Statistics, Statistics]]) -> float:
    """Inferences in a run of a model, over stretches that begin and end with a reading."""
    pairs = [(before[model], after[model]) for before, after in readings]
    answered = sum(inferences(after) - inferences(before) for before, after in pairs)
    return answered / sum(runs(after) - runs(before) for before, after in pairs)
