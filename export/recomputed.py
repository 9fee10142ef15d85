"""Gradients at a fraction of the memory: of a block, what it was given is kept, and not what it computed on the way."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint


@contextmanager
def recomputing(blocks: Iterable[nn.Module]) -> Iterator[None]:
    """Within it, a backward pass computes each of these blocks anew (gradient checkpointing, Chen et al. 2016)."""
    changed = list(blocks)
    for block in changed:
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)
    try:
        yield
    finally:
        for block in changed:
            del block.forward
