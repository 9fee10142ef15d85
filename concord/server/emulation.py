"""Whether a processor that claims fast products of small types really has them: virtual machines may emulate them.

A matrix product is timed once, in a process of its own, in BF16 and in FP32. The result is kept for the processor, its
flags and OpenVINO's version.
"""

import hashlib
import json
import os
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import version

from concord import cache, processor
from concord.record import read_record

TYPES = ("bf16", "int8")
"""The precisions that are computed with such products."""
_SIDE = 512
_LEAST_GAIN = 0.2  # emulated ones take twenty times as long
_ROUNDS = 20
_SECONDS = 20.0


def problem() -> str:
    """Why `TYPES` are not fast here, in words; empty if they are."""
    identity = _identity()
    path = cache.root() / "products.json"
    record = read_record(path)
    if record.get("identity") != identity:
        record = {"identity": identity, "fp32_over_bf16": _measured()}
        with suppress(OSError):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.write_text(json.dumps(record))
    gain = record.get("fp32_over_bf16")
    if isinstance(gain, int | float) and gain > _LEAST_GAIN:
        return ""
    return "no small types, whose products are slow on this machine though its processor names them"


def _identity() -> str:
    flags = json.dumps([processor.name(), processor.flags(), version("openvino"), os.environ.get("ONEDNN_MAX_CPU_ISA")])
    return hashlib.sha256(flags.encode()).hexdigest()


def _measured() -> float | None:
    """Times as fast that BF16 is; None if that could not be measured."""
    try:
        answer = subprocess.run(  # noqa: S603
            [sys.executable, "-m", __name__], capture_output=True, check=True, timeout=_SECONDS
        )
        return float(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def _main() -> None:
    import time

    import numpy as np
    import openvino as ov
    from openvino import opset13

    given = opset13.parameter([_SIDE, _SIDE], np.float32)
    product = opset13.matmul(given, opset13.constant(np.ones((_SIDE, _SIDE), np.float32)), False, False)
    network = ov.Model([product], [given])
    feed = np.ones((_SIDE, _SIDE), np.float32)
    requests = {
        precision: ov.Core()
        .compile_model(network, "CPU", {"INFERENCE_PRECISION_HINT": precision})
        .create_infer_request()
        for precision in ("f32", "bf16")
    }
    spent: dict[str, list[float]] = {precision: [] for precision in requests}
    # In turns, so that whatever else the machine does slows both.
    for _ in range(_ROUNDS):
        for precision, request in requests.items():
            began = time.perf_counter()
            request.infer([feed])
            spent[precision].append(time.perf_counter() - began)
    print(min(spent["f32"]) / min(spent["bf16"]))


if __name__ == "__main__":
    _main()
