"""3x3 convolutions with fewer products, the same numbers up to rounding: Winograd's minimal filtering.

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (CVPR 2016): a tile of inputs gives m x m outputs by
(m + 2)^2 products a channel pair instead of 9 m^2. Behind a nearest-neighbour upsampling by two the inputs of a tile
repeat, and 9 products are enough for 2x2 outputs. The transforms are additions, but cost memory traffic: they pay for
wide layers only. Processors gain; GPUs have such kernels of their own.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from diffusers.models.upsampling import Upsample2D
from numpy.typing import NDArray
from torch import Tensor, nn

TILE = 4  # heights and widths of rewritten layers are multiples of this
# Narrower layers gain little, and work at the full size of an image, where transformed maps, two and a quarter times
# the direct ones and nine times for an upsampling layer, would be the peak of memory.
WIDTH, UPSAMPLED_WIDTH, PHASES_WIDTH = 256, 512, 128
LARGE = 1_250_000  # channel pairs from which the weights, four times the direct ones, are not worth their memory


@dataclass(frozen=True)
class Filtering:
    """Matrices of a filter of one dimension with n products for m outputs.

    `inputs` [n, taps], `kernel` [n, 3], `outputs` [m, n]; tiles begin `stride` apart, the first one before the image.
    """

    inputs: NDArray[Any]
    kernel: NDArray[Any]
    outputs: NDArray[Any]
    stride: int


def minimal_filter(points: Sequence[float], count: int) -> Filtering:
    """Toom and Cook's filter with three taps for `count` outputs, from `count + 1` points and the one at infinity."""
    others = [[other for other in points if other != point] for point in points]
    inputs = [[*np.poly(roots)[::-1], 0] for roots in others] + [np.poly(points)[::-1]]
    divisors = np.array([np.prod(np.subtract(point, roots)) for point, roots in zip(points, others, strict=True)])
    kernel = np.vstack([np.vander(points, 3, increasing=True) / divisors[:, None], [0, 0, 1]])
    outputs = np.vstack([np.vander(points, count, increasing=True), np.eye(count)[-1]]).T
    return Filtering(np.array(inputs), kernel, outputs, stride=count)


# Points of the textbooks, 0, 1, -1, 2 and -2, double the rounding error of the larger filter.
FOUR = minimal_filter((0, 5 / 8, -5 / 8, 3 / 2, -3 / 2), 4)
UPSAMPLED = Filtering(
    np.array([[1, -1, 0], [0, 1, 0], [0, 1, -1]]),
    np.array([[1, 0, 0], [1, 1, 1], [0, 0, 1]]),
    np.array([[1, 1, 0], [0, 1, -1]]),
    stride=1,
)

# The taps of an even pixel fall on the inputs before and at it, those of an odd one at and behind it.
PHASE_TAPS = np.array([[[1, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]])


class Winograd(nn.Module):
    """A convolution [B, C, H, W] to [B, O, H, W] (H and W multiples of the stride), or `UPSAMPLED` to [B, O, 2H, 2W].

    Both transforms are grouped convolutions, and the products one batched matrix product: ONNX Runtime spreads these
    over its threads, which it does not do with a transposition of more than one axis.
    """

    def __init__(self, conv: nn.Conv2d, form: Filtering) -> None:
        super().__init__()
        self.stride, taps = form.stride, form.inputs.shape[1]
        self.side = len(form.outputs)
        inputs, kernel, outputs = (
            torch.tensor(np.kron(matrix, matrix), dtype=torch.float64)
            for matrix in (form.inputs, form.kernel, form.outputs)
        )
        # Transformed in double precision, a part of the output channels at a time: a wide layer would take a gigabyte.
        parts = [
            torch.einsum("pk,ock->poc", kernel, part.flatten(2).double()).float()
            for part in conv.weight.detach().split(64)
        ]
        self.weight = nn.Parameter(torch.cat(parts, 1), requires_grad=False)
        self.bias = conv.bias
        self.register_buffer("inputs", inputs.float().reshape(-1, 1, taps, taps))
        self.register_buffer("outputs", outputs.T.float().reshape(-1, 1, self.side, self.side))

    def forward(self, x: Tensor, *_unused: Any) -> Tensor:
        products, width, channels = self.weight.shape
        transform = cast(Tensor, self.inputs).repeat(channels, 1, 1, 1)
        tiles = F.conv2d(x, transform, stride=self.stride, padding=1, groups=channels)
        batch, _, rows, columns = tiles.shape
        tiles = tiles.reshape(batch, channels, products, -1).transpose(1, 2)
        answers = (self.weight @ tiles).transpose(1, 2).reshape(batch, -1, rows, columns)
        transform = cast(Tensor, self.outputs).repeat(width, 1, 1, 1)
        return F.conv_transpose2d(answers, transform, self.bias, stride=self.side, groups=width)


class Phases(nn.Module):
    """Upsampling by two and a convolution, [B, C, H, W] to [B, O, 2H, 2W], as four 2x2 convolutions of the input.

    Each gives the pixels of one phase; 16 products a channel pair and input pixel instead of 36.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        taps = torch.tensor(PHASE_TAPS, dtype=torch.float32)
        weight = torch.einsum("aik,bjl,ockl->abocij", taps, taps, conv.weight.detach())
        self.weights = nn.ParameterList(nn.Parameter(w, requires_grad=False) for w in weight.flatten(0, 1))
        self.bias = conv.bias
        self.register_buffer("places", torch.eye(4).reshape(4, 1, 2, 2))

    def forward(self, x: Tensor, *_unused: Any) -> Tensor:
        phases = [
            F.conv2d(F.pad(x, (1 - phase % 2, phase % 2, 1 - phase // 2, phase // 2)), weight)
            for phase, weight in enumerate(self.weights)
        ]
        width = len(self.weights[0])
        places = cast(Tensor, self.places).repeat(width, 1, 1, 1)
        return F.conv_transpose2d(torch.stack(phases, 2).flatten(1, 2), places, self.bias, stride=2, groups=width)


def rewrite_convolutions(network: nn.Module, but: frozenset[str] = frozenset()) -> None:
    """Rewrite, in place, the convolutions below `network` that gain from it, but for those below the names in `but`."""
    for name, module in list(network.named_children()):
        if name in but:
            continue
        if isinstance(module, Upsample2D):
            if is_doubling(module) and module.channels >= UPSAMPLED_WIDTH:
                setattr(network, name, Winograd(module.conv, UPSAMPLED))
            elif is_doubling(module) and module.channels >= PHASES_WIDTH:
                setattr(network, name, Phases(module.conv))
        elif isinstance(module, nn.Conv2d):
            if is_filterable(module) and is_worthwhile(module):
                setattr(network, name, Winograd(module, FOUR))
        else:
            rest = frozenset(path.partition(".")[2] for path in but if path.partition(".")[0] == name)
            rewrite_convolutions(module, rest)


def is_filterable(conv: nn.Conv2d) -> bool:
    """Whether it is 3x3, of stride one, keeping the size, with every output of every input."""
    found = conv.kernel_size, conv.stride, conv.padding, conv.dilation, conv.groups, conv.padding_mode
    return found == ((3, 3), (1, 1), (1, 1), (1, 1), 1, "zeros")


def is_doubling(module: Upsample2D) -> bool:
    """Whether it is a nearest-neighbour upsampling by two, then a convolution."""
    plain = module.use_conv and module.interpolate and not module.use_conv_transpose and module.norm is None
    return plain and module.name == "conv" and is_filterable(module.conv)


def is_worthwhile(conv: nn.Conv2d) -> bool:
    """Whether it gains enough time for the memory it takes."""
    channels = conv.in_channels, conv.out_channels
    return min(channels) >= WIDTH and math.prod(channels) <= LARGE
