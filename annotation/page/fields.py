"""What a form of the page was sent with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qs

from starlette.requests import ClientDisconnect, Request

from facade.problems import Problem

MOST_BYTES = 2**16
_MOST_FIELDS = 500
_TYPE = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Fields:
    """Texts by the names of their fields."""

    given: Mapping[str, Sequence[str]]

    @classmethod
    async def of(cls, request: Request) -> Self:
        """Reads a request's body.

        Raises:
            Problem: another content type, too many bytes or fields, or the client went away.
        """
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _TYPE:
            raise Problem("unsupported_media_type", "the body is no form", field="Content-Type", allowed=_TYPE)
        body = bytearray()
        try:
            async for piece in request.stream():
                body += piece
                if len(body) > MOST_BYTES:
                    raise Problem("request_too_large", "the form is too large", allowed=f"{MOST_BYTES} bytes")
        except ClientDisconnect:
            raise Problem("cancelled", "the client went away") from None
        try:
            return cls(parse_qs(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS))
        except ValueError:
            raise Problem("malformed_body", "the form cannot be read", allowed=f"{_MOST_FIELDS} fields") from None

    def text(self, name: str) -> str:
        """The text of a field; empty without it."""
        return next(iter(self.given.get(name, ())), "")

    def numbers(self, name: str) -> list[int]:
        """The whole numbers of a field that may stand there several times.

        Raises:
            Problem: `invalid_setting`: one is no number.
        """
        given = self.given.get(name, ())
        if wrong := [each for each in given if not (each.isascii() and each.isdecimal() and len(each) < 16)]:
            raise Problem("invalid_setting", f"{wrong[0][:40]!r} is no number", field=name, allowed="whole numbers")
        return [int(each) for each in given]
