"""Gradients of blocks that are computed twice."""

import pytest
import torch
from torch import Tensor, nn

from export.recomputed import recomputing


class Counted(nn.Module):
    """A small block that counts its runs."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)
        self.runs = 0

    def forward(self, x: Tensor, shift: Tensor) -> Tensor:
        self.runs += 1
        return torch.tanh(self.layer(x)) * x + shift


@pytest.fixture
def blocks() -> list[Counted]:
    torch.manual_seed(0)
    return [Counted() for _ in range(3)]


def slope(blocks: list[Counted], x: Tensor) -> Tensor:
    given = x.requires_grad_()
    for block in blocks:
        given = block(given, given.mean(1, keepdim=True))
    return torch.autograd.grad(given.square().sum(), x)[0]


def test_a_gradient_is_the_same_when_the_blocks_are_computed_anew(blocks: list[Counted]) -> None:
    x = torch.randn(4, 3)
    plain = slope(blocks, x)
    with recomputing(blocks):
        torch.testing.assert_close(slope(blocks, x), plain)
    assert [block.runs for block in blocks] == [1 + 2] * 3


def test_blocks_are_as_they_were_afterwards_even_if_one_failed(blocks: list[Counted]) -> None:
    with pytest.raises(RuntimeError), recomputing(blocks):
        slope(blocks, torch.randn(4, 5))
    assert all("forward" not in vars(block) for block in blocks)
