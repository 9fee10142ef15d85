"""Views of pictures, warped and pooled, in operators whose backward passes engines have."""

from typing import cast

import torch
from torch import Tensor


def pooling(source: int, target: int) -> Tensor:
    """[target, source]: torch's adaptive average pooling of a side, whose windows may overlap, as a linear map."""
    first = torch.arange(target) * source // target
    end = -(-(torch.arange(1, target + 1) * source) // target)
    place = torch.arange(source)
    inside = (place >= first[:, None]) & (place < end[:, None])
    return inside / (end - first)[:, None]


def warped(maps: Tensor, warps: Tensor, *, border: bool) -> Tensor:
    """Warped views of square maps, linear between their pixels.

    Args:
        maps: [B,C,S,S].
        warps: [B,V,3,3], from pixels (x, y, 1) of a view to those of the map, up to a factor.
        border: whether what lies outside the map is like its border; else it is 0.

    Returns:
        [B,V,C,S,S].
    """
    side = maps.shape[-1]
    line = torch.arange(side, dtype=maps.dtype, device=maps.device)
    pixels = torch.stack((line.expand(side, side), line[:, None].expand(side, side), torch.ones(side, side)))
    x, y, depth = (warps @ pixels.flatten(1)).unbind(2)
    places = [each / depth for each in (x, y)]
    if border:
        places = [each.clamp(0, side - 1) for each in places]
    starts = [each.floor() for each in places]
    rests = [each - start for each, start in zip(places, starts, strict=True)]
    flat = maps.flatten(2)
    total: Tensor | None = None
    for right in (0, 1):
        for below in (0, 1):
            column, row = starts[0] + right, starts[1] + below
            share = (rests[0] if right else 1 - rests[0]) * (rests[1] if below else 1 - rests[1])
            inside = (column >= 0) & (column < side) & (row >= 0) & (row < side)
            index = row.clamp(0, side - 1) * side + column.clamp(0, side - 1)
            # What is no number, as with a warm-up's zeros for `warps`, is no pixel's number either.
            within = index.flatten(1).long().clamp(0, side * side - 1)
            found = flat.gather(2, within[:, None].expand(-1, flat.shape[1], -1))
            part = found * (share * inside).flatten(1)[:, None]
            total = part if total is None else total + part
    assert total is not None
    return cast(Tensor, total.unflatten(2, (-1, side, side)).transpose(1, 2))
