"""A network that answers with a gradient as a graph of its forward and its backward pass, without autograd.

What is traced is made of core ATen operators, at any batch. Three of autograd's own operators have no form among
those, or one for training that an engine does not have; their forms here are exact for what they are asked for.
"""

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._decomp import core_aten_decompositions
from torch._dynamo.source import ConstantSource
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functionalize
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv, StatelessSymbolicContext
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

aten = torch.ops.aten


Found = TypeVar("Found")
_TRACING = ContextVar("tracing", default=False)


class WithGradient(nn.Module):
    """A network whose answers hold gradients, taken by `gradient_of` with respect to what it is given alone.

    The first axis of every input is the batch.
    """

    def blocks(self) -> list[nn.Module]:
        """Parts that compute most of it, each of one tensor or a few: see `recomputing`."""
        return []


def gradient_of(loss: Callable[[Tensor], tuple[Tensor, Found]], x: Tensor) -> tuple[Tensor, Found]:
    """The gradient of a loss, a scalar, at `x`, and what the loss answers besides.

    Only `torch.func` can be traced, and only autograd forgets what the backward pass computes on its way.
    """
    if _TRACING.get():
        traced: tuple[Tensor, Found] = torch.func.grad(loss, has_aux=True)(x)
        return traced
    with torch.enable_grad():
        given = x.detach().requires_grad_()
        value, besides = loss(given)
        (found,) = torch.autograd.grad(value, given)
    return found, besides


def traced(network: WithGradient, inputs: Sequence[Tensor]) -> GraphModule:
    """What a network computes of such inputs, both passes; its weights are the network's own."""
    network.eval().requires_grad_(False)
    mode = FakeTensorMode(shape_env=ShapeEnv(), allow_non_fake_inputs=True)
    axes: Any = StatelessSymbolicContext([DimDynamic.DYNAMIC] + [DimDynamic.STATIC] * (inputs[0].ndim - 1))
    first = mode.from_tensor(inputs[0], symbolic_context=axes, source=ConstantSource("batch"))
    with mode:  # of one batch: separate ones would be set equal by what they were traced at
        others = [torch.empty(first.shape[0], *each.shape[1:], dtype=each.dtype) for each in inputs[1:]]
    table = core_aten_decompositions() | _BACKWARD
    # Fused attention has a backward pass that no engine has.
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), _PlainLinear():
        trace = make_fx(
            functionalize(lambda *given: network(*given), remove="mutations"),
            decomposition_table=table,
            tracing_mode="fake",
            _allow_non_fake_inputs=True,
        )
        token = _TRACING.set(True)
        try:
            return trace(first, *others).eval()
        finally:
            _TRACING.reset(token)


class _PlainLinear(TorchFunctionMode):
    """Linear layers as products: torch's own, of tokens, fix the batch that they are traced at."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is F.linear:
            x, weight, bias = (*args, *(kwargs or {}).values(), None)[:3]
            return x @ weight.T if bias is None else x @ weight.T + bias
        return function(*args, **(kwargs or {}))


def _convolution_backward(
    gradient: Tensor,
    x: Tensor,
    weight: Tensor,
    _bias: Any,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    _output_padding: Any,
    groups: int,
    wanted: Sequence[bool],
) -> tuple[Tensor, None, None]:
    """The input's gradient alone, by a transposed convolution; weights have none here."""
    assert not transposed and list(wanted) == [True, False, False]
    sides = zip(x.shape[2:], gradient.shape[2:], weight.shape[2:], stride, padding, dilation, strict=True)
    rest = [
        side - ((steps - 1) * step - 2 * pad + spread * (kernel - 1) + 1)
        for side, steps, kernel, step, pad, spread in sides
    ]
    return aten.convolution(gradient, weight, None, stride, padding, dilation, True, rest, groups), None, None


def _pooling_backward(gradient: Tensor, x: Tensor, kernel: Sequence[int], stride: Sequence[int], *_: Any) -> Tensor:
    """Each of the pixels of a mean has its share of the gradient."""
    down, across = kernel
    assert list(stride) in ([], list(kernel)) and gradient.shape[2] * down == x.shape[2]
    spread = gradient[:, :, :, None, :, None].expand(-1, -1, -1, down, -1, across)
    return spread.reshape(x.shape) / (down * across)


def _empty(size: Sequence[int], _order: Sequence[int], dtype: torch.dtype | None = None, **_: Any) -> Tensor:
    """What is filled later; no engine has memory without values."""
    return torch.zeros(size, dtype=dtype)


_BACKWARD: dict[Any, Callable[..., Any]] = {
    aten.convolution_backward.default: _convolution_backward,
    aten.avg_pool2d_backward.default: _pooling_backward,
    aten.empty_permuted.default: _empty,
}
