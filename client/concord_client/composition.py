"""How much of a change is taken, and in which form it is given; for pictures that are kept, without a server.

Pictures are arrays, uint8 [H, W, 3] RGB or [H, W, 4] RGBA (not premultiplied).
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from concord_client.errors import InvalidInput
from concord_client.settings import Setting

Pixels = npt.NDArray[np.uint8]

STRENGTH = Setting(
    *("STRENGTH", "TYPE_FP32", 1.0, 0.0, 1.5),
    about="how much of the change is taken: 0 gives the photograph, 1 the answer, more exaggerates it",
)
PICTURE, LAYER = "picture", "layer"
OUTPUT = Setting(
    *("OUTPUT", "TYPE_STRING", PICTURE),
    choices=(PICTURE, LAYER),
    about="layer is only what changed, to be laid over the photograph",
)
COMPOSITION: Mapping[str, Setting] = {setting.name: setting for setting in (STRENGTH, OUTPUT)}
"""The settings of every pipeline that harmonizes, by name."""

_BAND = 64  # rows, whose indices stay in a core's cache


def at_strength(before: Pixels, after: Pixels, strength: float) -> Pixels:
    """``before + strength * (after - before)``, rounded to the nearest level, halves up, and clipped.

    So 0 gives ``before`` and 1 gives ``after``, bit for bit. The server has the change before it is rounded and
    clipped: its answer differs by at most one level, and by more only where ``after`` was clipped.

    Args:
        before: the photograph.
        after: the same, harmonized.
        strength: see `STRENGTH`.

    Returns:
        A new array of their shape.

    Raises:
        InvalidInput: the strength is not finite or not in its range.
        ValueError: the pictures differ in shape.
    """
    share = float(STRENGTH.check(strength))
    _check_shapes(before, after)
    old, new = np.ogrid[:256, :256]
    levels = np.clip(np.floor(old + share * (new - old) + 0.5), 0, 255).astype(np.uint8).ravel()
    composed = np.empty_like(before)
    for top in range(0, len(before), _BAND):
        rows = slice(top, top + _BAND)
        composed[rows] = levels[before[rows].astype(np.intp) << 8 | after[rows]]
    return composed


def layer_of(before: Pixels, after: Pixels) -> Pixels:
    """What changed as a layer: laid over the photograph, it gives the harmonized one bit for bit.

    Returns:
        uint8 [H, W, 4] RGBA: opaque, with the new colours, where any channel changed, and 0 elsewhere.

    Raises:
        InvalidInput: something changed where the photograph is transparent; an opaque pixel would be seen there.
        ValueError: the pictures differ in shape.
    """
    _check_shapes(before, after)
    layer = np.zeros((*before.shape[:2], 4), np.uint8)
    for top in range(0, len(before), _BAND):
        rows = slice(top, top + _BAND)
        changed = (before[rows] != after[rows]).any(axis=2)
        if before.shape[2] == 4 and (after[rows, :, 3][changed] != 255).any():
            problem = f"is {LAYER!r}, and the photograph is transparent where it changes"
            raise InvalidInput(
                "invalid_setting", OUTPUT.name, problem, f"{PICTURE}, or a photograph that is opaque there"
            )
        layer[rows, :, :3] = after[rows, :, :3] * changed[..., np.newaxis]
        layer[rows, :, 3] = changed * np.uint8(255)
    return layer


def _check_shapes(before: Pixels, after: Pixels) -> None:
    if before.shape != after.shape:
        raise ValueError(f"the pictures are {list(before.shape)} and {list(after.shape)}; they have to be of one shape")
