"""CRISHT's mask is the one that the ensemble of both networks works with."""

import numpy as np
import pytest
import torch

from concord.letterbox import LOGITS_SIZE, mask_from_logits
from concord.squash import squash_mask
from export.networks.crisht import small_mask

SIZES = [(416, 416), (300, 400), (1365, 2048), (2048, 1365), (33, 517), (1000, 700), (90, 64), (3000, 4000)]


def drawn(seed: int) -> np.ndarray:
    """Logits of blobs, with steep and with flat edges."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(1, 1, 7, 7, generator=generator) * 4
    return torch.nn.functional.interpolate(coarse, LOGITS_SIZE, mode="bicubic")[0].numpy()


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_it_is_sampled_where_the_squashed_mask_reads_the_photograph_s(height: int, width: int) -> None:
    logits = [drawn(seed) for seed in range(4)]
    size = torch.tensor([[height, width]] * len(logits), dtype=torch.int32)
    found = small_mask(torch.from_numpy(np.stack(logits)), size).numpy()
    expected = np.stack([squash_mask(mask_from_logits(each, height, width)[0]) for each in logits])
    assert expected.any() and not expected.all()
    # Where a probability is within rounding of the threshold.
    assert (found != expected).mean() < 2e-5
