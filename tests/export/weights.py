"""Weights of exported networks, as engines compute with them."""

from pathlib import Path

import onnx_ir as ir

from export import stored_weights


def weight_bytes(network: Path | ir.Model) -> int:
    """Bytes of all weights of an exported file, unpacked, or of a graph."""
    model = stored_weights.load(network) if isinstance(network, Path) else network
    return sum(stored_weights.array(value).nbytes for value in model.graph.initializers.values())
