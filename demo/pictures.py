"""Pictures of a demonstration."""

from base64 import b64encode
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_QUALITY = 84


def decoded(encoded: bytes) -> NDArray[np.uint8]:
    """Pixels [H, W, 3] of a picture, [H, W] of a grey one."""
    return np.asarray(Image.open(BytesIO(encoded)))


def side_by_side(pictures: Sequence[NDArray[Any]], gap: int) -> NDArray[np.uint8]:
    """Pictures uint8 [H, W, 3] of one height in a row, with a white gap of so many pixels between them."""
    white = np.full((pictures[0].shape[0], gap, 3), 255, np.uint8)
    return np.hstack([part for picture in pictures for part in (white, picture)][1:])


def data_uri(pixels: NDArray[np.uint8]) -> str:
    """A picture uint8 [H, W, 3] or [H, W] as a JPEG inside its own address."""
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=_QUALITY, subsampling=0)
    return f"data:image/jpeg;base64,{b64encode(stream.getvalue()).decode()}"
