"""Forms as pydantic models: their description for OpenAPI, and their values checked field by field."""

from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from facade.problems import Problem

Form = TypeVar("Form", bound=BaseModel)
MEDIA_TYPE = "multipart/form-data"
_SHOWN = 40


@dataclass(frozen=True)
class NamedFile:
    """A file, and the name that it came with."""

    name: str
    content: bytes


def form_schema(form: type[BaseModel]) -> dict[str, Any]:
    """OpenAPI's description of a request that has such a form as its body."""
    schema = form.model_json_schema()
    properties = {name: _plain(field) for name, field in schema["properties"].items()}
    content = {
        "type": "object",
        "properties": properties,
        "required": schema.get("required", []),
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
        schema = _properties(form).get(name, {})
        if found["type"] == "missing":
            raise Problem("missing_field", f"{name} is missing", field=name, allowed=_allowed(schema)) from None
        given = str(values.get(name))[:_SHOWN]
        raise Problem("invalid_setting", f"{given!r} is not allowed", field=name, allowed=_allowed(schema)) from None


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
