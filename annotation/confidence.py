"""The IoU that a segmenter reaches with an expression: how far the words alone lead to the part."""

import asyncio
from functools import lru_cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from annotation.iharmony4 import Sample
from annotation.picture import Picture
from annotation.scored import iou, resized
from concord.errors import ConcordError
from concord.png import encode_png
from concord_client.aio import AsyncClient
from concord_client.errors import InvalidInput, ServerError


class Confidence:
    """Asks a Concord at ``host:port`` for the task `segment`, at the size at which pictures are scored."""

    _KEPT: ClassVar = 16

    def __init__(self, url: str, model: str | None = None, timeout: float = 60.0) -> None:
        self._url, self._model, self._timeout = url, model, timeout
        self._client: AsyncClient | None = None
        self._pair = lru_cache(self._KEPT)(_pair)

    async def of(self, sample: Sample, words: str) -> float | None:
        """The IoU, 0..1, of what is found with the words and the true mask; None where it cannot be asked.

        Raises:
            ConcordClientError: the server does not answer, or has no segmenter.
        """
        # A channel belongs to the event loop that it is made in.
        self._client = self._client or AsyncClient(self._url, timeout=self._timeout)
        try:
            composite, mask = await asyncio.to_thread(self._pair, sample)
            found = await self._client.segment(composite, words, model=self._model)
        except (ConcordError, OSError, InvalidInput, ServerError):
            return None
        return iou(found.mask, mask)

    async def close(self) -> None:
        """Ends the connection."""
        if self._client is not None:
            await self._client.close()


def _pair(sample: Sample) -> tuple[bytes, NDArray[np.uint8]]:
    """A composite as PNG, and its mask, both at the size at which they are scored."""
    picture = Picture.read(sample)
    return encode_png(resized(picture.composite)), resized(picture.mask, Image.Resampling.NEAREST)
