"""Triton's statistics by model, as differences between two readings."""

from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import Any

from concord_client.pipelines import HARMONIZE, SEGMENT, SEGMENT_HARMONIZE
from tritonclient.grpc import InferenceServerClient  # type: ignore[import-untyped]

Statistics = dict[str, Any]
ENSEMBLES = (SEGMENT, HARMONIZE, SEGMENT_HARMONIZE)
UNET = "unet"
SPENT = ("queue", "compute_input", "compute_infer", "compute_output")


def read_statistics(grpc_url: str) -> Statistics:
    """Triton's cumulative inference statistics by model name (they include the warm-up)."""
    with InferenceServerClient(grpc_url) as client:
        answer = client.get_inference_statistics(as_json=True)
    return {model["name"]: model for model in answer["model_stats"]}


@dataclass(frozen=True)
class Stage:
    """One model's work between two readings: means per request in milliseconds.

    Attributes:
        requests: number of answered requests.
        batch: mean size of a run.
        queue: time in the queue; then `compute_input`, `compute_infer` and `compute_output`.
    """

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


def stages(before: Statistics, after: Statistics, left_out: Container[str] = ENSEMBLES) -> dict[str, Stage]:
    """The work of each model between two readings; models without answers are left out.

    Args:
        left_out: ensembles, whose times are sums of their stages'.
    """
    found = {}
    for name, model in after.items():
        earlier = before.get(name, {"inference_stats": {}})
        requests = count(model, "success", "count") - count(earlier, "success", "count")
        if requests and name not in left_out:
            spent = {kind: count(model, kind, "ns") - count(earlier, kind, "ns") for kind in SPENT}
            inferences, runs = (
                int(model.get(each, 0)) - int(earlier.get(each, 0)) for each in ("inference_count", "execution_count")
            )
            means = {kind: nanoseconds / requests / 1e6 for kind, nanoseconds in spent.items()}
            found[name] = Stage(requests, inferences / max(runs, 1), **means)
    return found


def stage_milliseconds(before: Statistics, after: Statistics) -> dict[str, float]:
    """Mean milliseconds of a request in each model between two readings: queue, copies and computation."""
    return {name: stage.milliseconds for name, stage in stages(before, after).items()}


def count(model: dict[str, Any], kind: str, field: str) -> int:
    """One number of a model's statistics. Protobuf's JSON omits zeros and writes 64-bit numbers as text."""
    return int(model["inference_stats"].get(kind, {}).get(field, 0))


def unet_steps(statistics: Statistics) -> int:
    """Number of denoising steps that the UNet has finished, of all requests together."""
    return int(statistics[UNET].get("inference_count", 0))


def unet_runs(statistics: Statistics) -> int:
    """Number of the UNet's runs; a batch is one run."""
    return int(statistics[UNET].get("execution_count", 0))


def mean_batch(readings: Iterable[tuple[Statistics, Statistics]]) -> float:
    """Mean number of steps in a run of the UNet between two readings."""
    stretches = list(readings)
    steps = sum(unet_steps(after) - unet_steps(before) for before, after in stretches)
    return steps / sum(unet_runs(after) - unet_runs(before) for before, after in stretches)
