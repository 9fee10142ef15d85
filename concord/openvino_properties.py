"""OpenVINO's properties from a Triton model configuration, as Triton's C++ ``openvino`` backend reads it.

The parameters and their meaning follow the README of triton-inference-server/openvino_backend, so that one
configuration means the same to both.
"""

from collections.abc import Mapping
from typing import Any

from concord.model_config import InvalidParameter, parameters, whole_parameter

_MOST_THREADS = 1024


def properties(config: Mapping[str, Any]) -> dict[str, str | int]:
    """Properties to compile a model of a configuration (Triton's JSON form) with.

    Honours ``INFERENCE_NUM_THREADS``, ``NUM_STREAMS`` and ``HINT_BF16`` (``YES``, or ``NO`` where it is absent: FP32 is
    then computed in FP32, whatever the processor would rather do).

    Raises:
        InvalidParameter: names the parameter, its value and what is allowed.
    """
    given = parameters(config)
    half = given.get("HINT_BF16", "NO")
    if half not in ("YES", "NO"):
        raise InvalidParameter("HINT_BF16", f"is {half[:40]!r}", "YES, NO")
    chosen: dict[str, str | int] = {
        "INFERENCE_PRECISION_HINT": "bf16" if half == "YES" else "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    for name in ("INFERENCE_NUM_THREADS", "NUM_STREAMS"):
        if name in given:
            chosen[name] = whole_parameter(config, name, 1, 1, _MOST_THREADS)
    return chosen
