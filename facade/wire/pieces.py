"""Answers in pieces that are made as they are sent, so that a large one holds up nobody and is in memory only once."""

import asyncio
import re
import secrets
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import zip_longest
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, PlainSerializer, SerializationInfo, WithJsonSchema
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

SIZE = 3 * 2**16
"""Bytes of a picture in a piece; a multiple of three, so that in base64 the pieces are those of the whole."""


def _written(picture: bytes, info: SerializationInfo) -> str:
    if info.context is None:
        return b64encode(picture).decode()
    mark = secrets.token_hex(16)
    info.context[mark] = picture
    return mark


Base64: TypeAlias = Annotated[bytes, PlainSerializer(_written), WithJsonSchema({"type": "string"})]
"""A field of a model: a picture, which is base64 in JSON."""


@dataclass(frozen=True)
class Pieces:
    """Texts, and between them pictures, which are written in base64 when they are sent.

    There is one text more than there are pictures.
    """

    texts: list[bytes]
    pictures: list[bytes]

    @classmethod
    def of(cls, told: BaseModel, frame: Callable[[str], bytes] = str.encode, **options: Any) -> "Pieces":
        """A model as JSON.

        Args:
            frame: puts around the JSON what else is to be sent.
            options: of `BaseModel.model_dump_json`.
        """
        pictures: dict[str, bytes] = {}
        framed = frame(told.model_dump_json(context=pictures, **options)).decode()
        if not pictures:
            return cls([framed.encode()], [])
        texts = re.split("|".join(pictures), framed)
        return cls([text.encode() for text in texts], list(pictures.values()))

    def __len__(self) -> int:
        """Bytes in all."""
        return sum(map(len, self.texts)) + sum((len(picture) + 2) // 3 * 4 for picture in self.pictures)

    def __iter__(self) -> Iterator[bytes]:
        for text, picture in zip_longest(self.texts, self.pictures, fillvalue=b""):
            yield text
            yield from map(b64encode, sliced(picture))


def sliced(content: bytes) -> Iterator[memoryview]:
    """The content in pieces that are not copied."""
    view = memoryview(content)
    return (view[start : start + SIZE] for start in range(0, len(content), SIZE))


async def in_turns(pieces: Iterator[bytes | memoryview]) -> AsyncIterator[bytes | memoryview]:
    """The same, with a turn for everybody else after each."""
    for piece in pieces:
        yield piece
        # A client that reads as fast as it is sent to would have all turns.
        await asyncio.sleep(0)


class PiecewiseResponse(Response):
    """An answer of known length in pieces; what is kept for it is given back when it is sent, or the client is gone."""

    def __init__(
        self,
        pieces: Iterator[bytes | memoryview],
        length: int,
        kept: ExitStack,
        headers: Mapping[str, str],
        media_type: str,
    ) -> None:
        super().__init__(headers={**headers, "Content-Length": str(length)}, media_type=media_type)
        self._pieces, self._kept = pieces, kept

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._kept:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            async for piece in in_turns(self._pieces):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
