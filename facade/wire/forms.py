"""Forms as pydantic models: their description for OpenAPI, and their values checked field by field."""

from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from facade.problems import Problem
from facade.settings import LONGEST
from facade.work.pictures import DEFAULT_QUALITY, Format

Form = TypeVar("Form", bound=BaseModel)
MEDIA_TYPE = "multipart/form-data"
_SHOWN = 40


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

    format: Format = Field("png", description="png keeps every pixel outside the part; jpeg and webp lose detail")
    quality: int = Field(DEFAULT_QUALITY, ge=1, le=100, description="of jpeg and webp")


@dataclass(frozen=True)
class NamedFile:
    """A file, and the name that it came with."""

    name: str
    content: bytes


def form_schema(form: type[BaseModel]) -> dict[str, Any]:
    """OpenAPI's description of a request that has such a form as its body."""
    content = {
        "type": "object",
        "properties": _properties(form),
        "required": form.model_json_schema().get("required", []),
        "additionalProperties": False,
    }
    return {"requestBody": {"required": True, "content": {MEDIA_TYPE: {"schema": content}}}}


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
