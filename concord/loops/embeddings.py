"""What an encoder answered for pictures, kept for the next question about them, within a bound on memory."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from hashlib import sha256
from typing import Any, Self
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from concord.model_config import whole_parameter

Embedding = Mapping[str, NDArray[np.generic]]
"""Answers of an encoder by tensor name."""


class Embeddings:
    """Those of the pictures that were asked for last, by the digest of their files; of one event loop.

    Args:
        most_bytes: of all embeddings together. One that is larger is not kept.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._kept: OrderedDict[bytes, Embedding] = OrderedDict()
        self._locks: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()

    @classmethod
    def declared(cls, config: Mapping[str, Any]) -> Self:
        """With the bound that a model's configuration has, its parameter `embeddings_megabytes`: 128 by default."""
        return cls(2**20 * whole_parameter(config, "embeddings_megabytes", 128, 0, 2**16))

    async def of(self, file: bytes, encode: Callable[[], Awaitable[Embedding]]) -> Embedding:
        """The embedding of a picture's file; `encode` finds it where it is not kept.

        Of requests for one picture that come together, one encodes it and the others wait.
        """
        key = await asyncio.to_thread(_digest, file)
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:
            if key not in self._kept:
                self._keep(key, embedding := await encode())
                return embedding
            self._kept.move_to_end(key)
            return self._kept[key]

    def _keep(self, key: bytes, embedding: Embedding) -> None:
        if _size(embedding) > self._most_bytes:
            return
        self._kept[key] = embedding
        while sum(map(_size, self._kept.values())) > self._most_bytes:
            self._kept.popitem(last=False)


def _digest(file: bytes) -> bytes:
    return sha256(file).digest()


def _size(embedding: Embedding) -> int:
    return sum(each.nbytes for each in embedding.values())
