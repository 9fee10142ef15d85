"""Exported graphs with attention in standard operators again, for engines that do not have ONNX Runtime's operator."""

import numpy as np
import onnx_ir as ir

FUSED = "MultiHeadAttention"


def convert(model: ir.Model) -> int:
    """Rewrites every fused attention of `model` in place; how many there were. Only those without a bias are taken."""
    fused = [node for node in model.graph if node.op_type == FUSED and len(list(filter(None, node.inputs))) == 3]
    for node in fused:
        _rewrite(node)
    return len(fused)


def _rewrite(node: ir.Node) -> None:
    """softmax(q k^T scale) v for each head, of [B, L, C], [B, S, C] and [B, S, C]; every value gets its type."""
    graph, tape, [answer] = node.graph, ir.tape.Tape(), node.outputs
    assert isinstance(graph, ir.Graph)
    kind = answer.type

    def constant(name: str, values: object, dtype: type[np.generic]) -> ir.Value:
        return tape.initializer(ir.tensor(np.array(values, dtype), name=f"{node.name}_{name}"))

    def step(operator: str, *inputs: ir.Value, **attributes: int | list[int]) -> ir.Value:
        value = tape.op(operator, inputs, attributes)
        value.type = kind
        return value

    heads = node.attributes["num_heads"].as_int()
    split, merge = constant("split", [0, 0, heads, -1], np.int64), constant("merge", [0, 0, -1], np.int64)
    scale = constant("scale", node.attributes["scale"].as_float(), np.float32)
    query, key, value = (step("Reshape", each, split) for each in node.inputs if each is not None)
    query, value = (step("Transpose", each, perm=[0, 2, 1, 3]) for each in (query, value))
    scores = step("MatMul", step("Mul", query, scale), step("Transpose", key, perm=[0, 2, 3, 1]))
    attended = step("MatMul", step("Softmax", scores, axis=-1), value)
    merged = step("Reshape", step("Transpose", attended, perm=[0, 2, 1, 3]), merge)
    merged.shape = answer.shape
    for each in tape.initializers:
        graph.register_initializer(each)
    ir.convenience.replace_nodes_and_values(graph, node, [node], tape.nodes, [answer], [merged])
