"""The most that this machine does, with all usable threads: products of matrices by precision, and copies in memory."""

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import openvino as ov
import torch
from openvino import opset13

from concord.instruments.timing import THREADS

BLOCK = 1 << 29  # bytes, more than caches hold
SIZES = ((512, 512, 512), (1024, 1024, 1024), (1024, 4096, 1024), (2048, 2048, 2048))
"""Of the matrices: [rows, inner] and [inner, columns]; the smallest product comes first."""
ROUNDS, SECONDS = 5, 0.15  # at the least, of every product
LONGEST = 0.2  # seconds of a product: where one takes longer, larger ones are left out
HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "bf16"}
"""OpenVINO's name of what is computed with where the graph does not say it, by precision."""
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "int8": torch.int8}

Call = Callable[[], object]
Size = tuple[int, int, int]


def gigaflops() -> dict[str, float]:
    """GFLOP/s of the product of two matrices, by precision: the most of all `SIZES`, OpenVINO's or torch's.

    A processor without products of a precision computes it in another way, which may be slower than FP32.
    """
    torch.set_num_threads(THREADS)
    return {
        precision: max(rate for product in (openvino_product, torch_product) for rate in rates(product, precision))
        for precision in HINTS
    }


def rates(product: Callable[[str, Size], Call], precision: str) -> Iterator[float]:
    """GFLOP/s by size."""
    for size in SIZES:
        seconds = least_seconds(product(precision, size))
        yield 2 * math.prod(size) / seconds / 1e9
        if seconds > LONGEST:
            break


def openvino_product(precision: str, size: Size) -> Call:
    """A call that multiplies a matrix with a constant one."""
    network = (quantized if precision == "int8" else plain)(size)
    properties = {"INFERENCE_PRECISION_HINT": HINTS[precision], "PERFORMANCE_HINT": "LATENCY"}
    request = ov.Core().compile_model(network, "CPU", properties).create_infer_request()
    given = np.ones(size[:2], np.float32)
    return lambda: request.infer([given], share_inputs=True, share_outputs=True)


def plain(size: Size) -> ov.Model:
    rows, inner, columns = size
    given = opset13.parameter([rows, inner], np.float32)
    return ov.Model([opset13.matmul(given, np.ones((columns, inner), np.float32), False, True)], [given])


def quantized(size: Size) -> ov.Model:
    """The product as post-training quantization leaves it."""
    rows, inner, columns = size
    given = opset13.parameter([rows, inner], np.float32)
    low, high = np.float32(-1.28), np.float32(1.27)
    weights: Any = opset13.convert(opset13.constant(np.ones((columns, inner), np.int8)), np.float32)
    scaled = opset13.multiply(weights, np.float32(0.01))
    rounded = opset13.fake_quantize(given, low, high, low, high, 256)
    return ov.Model([opset13.matmul(rounded, scaled, False, True)], [given])


def torch_product(precision: str, size: Size) -> Call:
    """A call that multiplies two matrices; whole numbers to 32 bits."""
    rows, inner, columns = size
    left, right = (torch.ones(shape, dtype=TYPES[precision]) for shape in ((rows, inner), (inner, columns)))
    multiply = torch._int_mm if precision == "int8" else torch.matmul
    return lambda: multiply(left, right)


def copy_gigabytes_per_second() -> float:
    """Of a copy in memory; bytes that are read and bytes that are written both count."""
    torch.set_num_threads(THREADS)
    source = torch.ones(BLOCK, dtype=torch.uint8)
    target = torch.empty_like(source)
    return 2 * BLOCK / least_seconds(lambda: target.copy_(source)) / 1e9


def least_seconds(call: Call) -> float:
    """The shortest of at least `ROUNDS` calls, in at least `SECONDS`, after one that does not count."""
    call()
    spent: list[float] = []
    while len(spent) < ROUNDS or sum(spent) < SECONDS:
        began = time.perf_counter()
        call()
        spent.append(time.perf_counter() - began)
    return min(spent)
