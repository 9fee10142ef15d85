"""A JSON object as a form: its members are the form's fields."""

import json
import re
from collections.abc import Collection
from typing import Any

from pydantic import BaseModel
from python_multipart.multipart import parse_options_header

from facade.problems import Problem

MEDIA_TYPE = "application/json"
_SHOWN_NAME = 64


class JsonObject:
    """Reads one object whose members are numbers, texts, truth values or null.

    Args:
        extra: names of members that it may have besides the model's fields.

    Raises:
        Problem: another content type.
    """

    def __init__(self, form: type[BaseModel], content_type: str, extra: Collection[str]) -> None:
        media_type, _ = parse_options_header(content_type)
        if media_type.lower() != MEDIA_TYPE.encode():
            given = media_type.decode("latin-1")[:_SHOWN_NAME] or "no content type"
            raise Problem(
                "unsupported_media_type", f"{given} is not accepted", field="Content-Type", allowed=MEDIA_TYPE
            )
        self._fields = {info.alias or name for name, info in form.model_fields.items()}
        self._extra = extra
        self._content = bytearray()

    def write(self, piece: bytes) -> None:
        """Takes the next bytes of the body."""
        self._content += piece

    def values(self) -> dict[str, Any]:
        """The members that are not null; settings, which are not the form's own, as text.

        Raises:
            Problem: no JSON object, or a member is unknown or holds more than one value.
        """
        try:
            read = json.loads(self._content)
        except (ValueError, RecursionError):
            raise Problem("malformed_body", f"the body is not {MEDIA_TYPE}") from None
        if not isinstance(read, dict):
            raise Problem("malformed_body", "the body is not a JSON object")
        return {name: self._value(name, value) for name, value in read.items() if value is not None}

    def _value(self, name: str, value: Any) -> Any:
        shown = re.sub(r"[^\x20-\x7e]", "?", name[:_SHOWN_NAME])
        if name not in self._fields and name not in self._extra:
            allowed = ", ".join((*sorted(self._fields), *self._extra))
            raise Problem("unexpected_field", f"{shown!r} is not a field of this request", field=shown, allowed=allowed)
        if isinstance(value, (dict, list)):
            raise Problem("invalid_setting", "holds more than one value", field=shown, allowed="a single value")
        return value if name in self._fields or isinstance(value, str) else json.dumps(value)
