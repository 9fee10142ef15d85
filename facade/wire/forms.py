"""Forms as pydantic models: their description for OpenAPI, their parts read piece by piece as they arrive, and their
values checked field by field.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from typing import Annotated, Any, TypeAlias, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from facade.problems import Problem
from facade.settings import LONGEST
from facade.work.pictures import DEFAULT_QUALITY, FORMATS_IN_WORDS, Format

Form = TypeVar("Form", bound=BaseModel)
MEDIA_TYPE = "multipart/form-data"
MAX_TEXT_BYTES = 64 * 2**10
"""Of a field that is no file."""

_MAX_PARTS = 20_000
_MAX_EXTRA_FIELDS = 64
_SHOWN = 40
_BETWEEN_NUMBERS = re.compile(r"[\s,\[\]]+")
_SHOWN_NAME = 64


def _split(written: Any) -> Any:
    """The numbers in texts: with commas or spaces between them, or as JSON has them."""
    return _BETWEEN_NUMBERS.sub(" ", " ".join(map(str, written))).split() if isinstance(written, list) else written


Numbers: TypeAlias = Annotated[list[float], BeforeValidator(_split)]
"""A field of any number of numbers, which may come at once or one after the other."""


class ModelForm(BaseModel):
    """What every request to a model may say; the settings that the catalogue declares are further fields."""

    model_config = ConfigDict(frozen=True, extra="allow")

    model: str | None = Field(None, description="its name, see /v1/models; by default the first that takes the fields")
    timeout: float | None = Field(
        None, gt=0, le=LONGEST, allow_inf_nan=False, description="seconds, time in the queue included"
    )
    stream: bool = Field(False, description="server-sent events instead of one answer")

    @property
    def settings(self) -> dict[str, str]:
        """The model's settings as they were written, by name."""
        return self.model_extra or {}


class PictureForm(ModelForm):
    """The same, where the answer is a photograph."""

    format: Format = Field("png", description=FORMATS_IN_WORDS)
    quality: int = Field(DEFAULT_QUALITY, ge=1, le=100, description="of jpeg and webp")


@dataclass(frozen=True)
class NamedFile:
    """A file, and the name that it came with."""

    name: str
    content: bytes


def form_schema(form: type[BaseModel], media_type: str = MEDIA_TYPE) -> dict[str, Any]:
    """OpenAPI's description of a request that has such a form as its body."""
    content = {
        "type": "object",
        "properties": _properties(form),
        "required": form.model_json_schema().get("required", []),
        "additionalProperties": False,
    }
    return {"requestBody": {"required": True, "content": {media_type: {"schema": content}}}}


def validated(form: type[Form], values: dict[str, Any]) -> Form:
    """The form with these values.

    Raises:
        Problem: a field is missing, or its value is not allowed.
    """
    try:
        return form.model_validate(values)
    except ValidationError as error:
        found = error.errors(include_url=False)[0]
        name = str(found["loc"][0]) if found["loc"] else ""
        allowed = _allowed(_properties(form).get(name, {}))
        if found["type"] == "missing":
            raise Problem("missing_field", f"{name} is missing", field=name, allowed=allowed) from None
        given = str(values.get(name))[:_SHOWN]
        raise Problem("invalid_setting", f"{given!r} is not allowed", field=name, allowed=allowed) from None


@cache
def _properties(form: type[BaseModel]) -> dict[str, Any]:
    return {name: _plain(field) for name, field in form.model_json_schema()["properties"].items()}


def _plain(field: dict[str, Any]) -> dict[str, Any]:
    """A field's schema without its title; one that may be left out is of the type that it has otherwise."""
    field = {key: value for key, value in field.items() if key != "title"}
    if "anyOf" in field:
        kind = next(each for each in field.pop("anyOf") if each.get("type") != "null")
        field = kind | field
    return {key: value for key, value in field.items() if not (key == "default" and value is None)}


def _allowed(schema: dict[str, Any]) -> str:
    """What a field takes, in words."""
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    lowest = schema.get("minimum", schema.get("exclusiveMinimum"))
    highest = schema.get("maximum")
    match schema.get("type"):
        case "integer":
            return f"a whole number from {lowest} to {highest}"
        case "number":
            return f"a number, more than {lowest} and at most {highest}"
        case "boolean":
            return "true or false"
        case "string" if schema.get("format") == "binary":
            return "an image file"
    return str(schema.get("description", ""))


@dataclass(frozen=True)
class Rule:
    """What may come in a field."""

    is_file: bool = False
    is_named: bool = False
    repeats: bool = False


_EXTRA = Rule()


class Parts:
    """Reads one form.

    Args:
        extra: names of texts that it may have besides the model's fields; None for any.

    Raises:
        Problem: another content type, or one without a usable boundary.
    """

    def __init__(
        self, form: type[BaseModel], content_type: str, max_file_bytes: int, extra: Collection[str] | None
    ) -> None:
        self._max_file_bytes = max_file_bytes
        self._extra = extra
        self._rules = rules_of(form)
        self._parts: dict[str, list[bytes | NamedFile]] = {name: [] for name in self._rules}
        callbacks: dict[str, Callable[..., None]] = {
            "on_part_begin": self._begin_part,
            "on_header_field": self._add_header,
            "on_header_value": self._add_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_part_data": self._add_content,
            "on_part_end": self._end_part,
            "on_end": self._end,
        }
        self._parser = MultipartParser(_boundary(content_type), callbacks)  # type: ignore[arg-type]
        self._ended = False
        self._begin_part()

    def write(self, piece: bytes) -> None:
        """Takes the next bytes of the body.

        Raises:
            Problem: they cannot be part of the form, or a field is unknown, double or too large.
        """
        try:
            self._parser.write(piece)
        except FormParserError:
            raise Problem("malformed_body", f"the body is not {MEDIA_TYPE}") from None

    def values(self) -> dict[str, Any]:
        """What came: files as they are, everything else as text, lists where a field may come several times.

        Raises:
            Problem: the form has no end, or a text is not UTF-8.
        """
        if not self._ended:
            raise Problem("malformed_body", "the body ends before its last boundary")
        values: dict[str, Any] = {}
        for name, parts in self._parts.items():
            if parts:
                rule = self._rules.get(name, _EXTRA)
                read = [part if rule.is_file else _text(name, part) for part in parts]
                values[name] = read if rule.repeats else read[0]
        self._parts.clear()
        return values

    def _begin_part(self) -> None:
        self._header = self._value = self._disposition = b""
        # Gives out its content without a copy, which would take long of a large file.
        self._content = BytesIO()

    def _add_header(self, piece: bytes, start: int, end: int) -> None:
        self._header += piece[start:end]

    def _add_value(self, piece: bytes, start: int, end: int) -> None:
        self._value += piece[start:end]

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def _end_headers(self) -> None:
        _, options = parse_options_header(self._disposition)
        if b"name" not in options:
            raise Problem("malformed_body", "a part has no name")
        self._name = name = options[b"name"].decode("utf-8", "replace")
        self._filename = options.get(b"filename", b"").decode("utf-8", "replace")
        if name not in self._parts:
            self._check_extra(name)
        self._rule = self._rules.get(name, _EXTRA)
        parts = self._parts.setdefault(name, [])
        if parts and not self._rule.repeats:
            raise Problem("duplicate_field", f"{name} is given twice", field=name, allowed="once")
        if len(parts) == _MAX_PARTS:
            raise Problem("request_too_large", f"{name} is given too often", field=name, allowed=f"{_MAX_PARTS} times")

    def _check_extra(self, name: str) -> None:
        if name in self._extra if self._extra is not None else len(self._parts) < _MAX_EXTRA_FIELDS:
            return
        shown = re.sub(r"[^\x20-\x7e]", "?", name[:_SHOWN_NAME])
        allowed = ", ".join({**self._parts, **dict.fromkeys(self._extra or ())})
        raise Problem("unexpected_field", f"{shown!r} is not a field of this request", field=shown, allowed=allowed)

    def _add_content(self, piece: bytes, start: int, end: int) -> None:
        limit = self._max_file_bytes if self._rule.is_file else MAX_TEXT_BYTES
        if self._content.tell() + end - start > limit:
            code = "image_too_large" if self._rule.is_file else "request_too_large"
            raise Problem(code, f"{self._name} is too large", field=self._name, allowed=f"at most {limit} bytes")
        self._content.write(memoryview(piece)[start:end])

    def _end_part(self) -> None:
        with self._content:
            content = self._content.getvalue()
        self._parts[self._name].append(NamedFile(self._filename, content) if self._rule.is_named else content)

    def _end(self) -> None:
        self._ended = True


@cache
def rules_of(form: type[BaseModel]) -> dict[str, Rule]:
    """The fields of a form by name: ``bytes`` and `NamedFile` are files, a ``list`` may come several times."""
    rules = {}
    for name, info in form.model_fields.items():
        is_named = _holds(NamedFile, info.annotation)
        is_file = is_named or _holds(bytes, info.annotation)
        rules[info.alias or name] = Rule(is_file, is_named, _repeats(info.annotation))
    return rules


def _boundary(content_type: str) -> bytes:
    media_type, options = parse_options_header(content_type)
    if media_type.lower() != MEDIA_TYPE.encode():
        given = media_type.decode("latin-1")[:_SHOWN_NAME] or "no content type"
        raise Problem("unsupported_media_type", f"{given} is not accepted", field="Content-Type", allowed=MEDIA_TYPE)
    boundary = options.get(b"boundary", b"")
    # RFC 2046, 5.1.1.
    if not 0 < len(boundary) <= 70:
        raise Problem("malformed_body", "no usable boundary", field="Content-Type", allowed="1 to 70 characters")
    return boundary


def _text(name: str, part: bytes | NamedFile) -> str:
    assert isinstance(part, bytes)
    try:
        return part.decode()
    except UnicodeDecodeError:
        code = "invalid_text" if name in ("text", "prompt") else "invalid_setting"
        raise Problem(code, "not UTF-8", field=name, allowed="UTF-8") from None


def _holds(kind: type, annotation: Any) -> bool:
    return annotation is kind or any(_holds(kind, each) for each in get_args(annotation))


def _repeats(annotation: Any) -> bool:
    return getattr(annotation, "__origin__", None) is list or any(map(_repeats, get_args(annotation)))
