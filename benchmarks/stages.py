"""Where the time goes: Triton's own statistics, by model, over a stretch of requests."""

from collections.abc import Iterable
from typing import Any

from tritonclient.grpc import InferenceServerClient

from concord_client.pipelines import HARMONIZE, SEGMENT, SEGMENT_HARMONIZE

Statistics = dict[str, Any]
ENSEMBLES = (SEGMENT, HARMONIZE, SEGMENT_HARMONIZE)
UNET = "unet"


def read_statistics(grpc_url: str) -> Statistics:
    """Triton's cumulative inference statistics by model name (they include the warm-up)."""
    with InferenceServerClient(grpc_url) as client:
        answer = client.get_inference_statistics(as_json=True)
    return {model["name"]: model for model in answer["model_stats"]}


def stage_milliseconds(before: Statistics, after: Statistics) -> dict[str, float]:
    """Mean milliseconds a request spent in each model between two readings: queue, copies and computing.

    Ensembles are left out, they only add their stages up; so are models that answered nothing.
    """
    stages = {}
    for name, model in after.items():
        answered = count(model, "success", "count") - count(before[name], "success", "count")
        if answered and name not in ENSEMBLES:
            spent = sum(
                count(model, kind, "ns") - count(before[name], kind, "ns")
                for kind in ("queue", "compute_input", "compute_infer", "compute_output")
            )
            stages[name] = spent / answered / 1e6
    return stages


def count(model: dict[str, Any], kind: str, field: str) -> int:
    """One number of a model's statistics; protobuf's JSON leaves zeros out and writes 64-bit numbers as text."""
    return int(model["inference_stats"].get(kind, {}).get(field, 0))


def unet_steps(statistics: Statistics) -> int:
    """Denoising steps that the UNet has finished, whatever requests they were of."""
    return int(statistics[UNET].get("inference_count", 0))


def unet_runs(statistics: Statistics) -> int:
    """Runs that the UNet took for them; a run of a batch is one."""
    return int(statistics[UNET].get("execution_count", 0))


def mean_batch(readings: Iterable[tuple[Statistics, Statistics]]) -> float:
    """Steps in a run of the UNet, over stretches that begin and end with a reading."""
    stretches = list(readings)
    steps = sum(unet_steps(after) - unet_steps(before) for before, after in stretches)
    return steps / sum(unet_runs(after) - unet_runs(before) for before, after in stretches)
