"""Reads callers' image files outside the event loop, so that a file that takes long holds up nothing but itself."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from concord.apart import kill_all
from concord.images import cheap_file, read_header
from concord.limits import Limits
from concord_client.tasks.request import Request
from facade.access.caller import Allowance
from facade.work.lane import Lane
from facade.work.requests import check

_Value = TypeVar("_Value")
_Request = TypeVar("_Request", bound=Request[Any])
_THREADS = 2
_ANSWER_BYTES_PER_PIXEL = 3


class Reader:
    """Threads that read headers, and others that wait for files which are decoded in processes of their own.

    Others than asyncio's, which encode answers. Every method raises ConcordError, as `concord.images.decode_image`.
    """

    def __init__(self) -> None:
        self._headers = ThreadPoolExecutor(_THREADS, "headers")
        self._decoding = ThreadPoolExecutor(_THREADS, "decoding")
        self._places = Lane(_THREADS)

    async def size(self, encoded: bytes, limits: Limits, field: str) -> tuple[int, int]:
        """Width and height in pixels, as they are stored."""
        return (await self._read(read_header, encoded, limits, field)).size

    async def cheap_file(self, encoded: bytes, limits: Limits, field: str, holder: str) -> bytes:
        """See `concord.images.cheap_file`; the holder is that of the key that the file came with."""
        if (await self._read(read_header, encoded, limits, field)).is_cheap:
            return encoded
        async with self._places.place(holder):
            return await asyncio.get_running_loop().run_in_executor(self._decoding, cheap_file, encoded, limits, field)

    async def checked(self, request: _Request, allowance: Allowance, holder: str) -> tuple[_Request, int]:
        """The request, found to be what the caller may send, with images that are cheap to decode.

        Returns:
            The request, and the bytes that the picture of its answer takes as PNG, or nearly so.

        Raises:
            Problem: a text is too long.
        """
        headers = await self._read(check, request, allowance)
        cheap = {
            name: await self.cheap_file(getattr(request, name), allowance.limits, name, holder)
            for name, header in headers.items()
            if not header.is_cheap
        }
        pixels = max((header.size[0] * header.size[1] for header in headers.values()), default=0)
        given = {each.name: getattr(request, each.name) for each in request.given()}
        return type(request)(**given | cheap), _ANSWER_BYTES_PER_PIXEL * pixels * request.SCALE**2

    def close(self) -> None:
        """Gives up what is being read."""
        for threads in (self._headers, self._decoding):
            threads.shutdown(wait=False, cancel_futures=True)
        kill_all()

    async def _read(self, function: Callable[..., _Value], *arguments: Any) -> _Value:
        return await asyncio.get_running_loop().run_in_executor(self._headers, function, *arguments)
