"""The description of the API: what FastAPI cannot see by itself is added to what it finds."""

from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from concord_client.settings import Setting
from facade.problems import KINDS, MEDIA_TYPE, Problem, ProblemDetails
from facade.settings import Settings
from facade.wire.forms import MEDIA_TYPE as FORM
from facade.wire.forms import form_schema
from facade.work.catalogue import SETTING_TYPES
from facade.work.models import Models

_SCHEMAS = "#/components/schemas/{model}"
_KEY = "api_key"
_TASK = "x-task"
_BY_FASTAPI = "HTTPValidationError", "ValidationError"


class Description:
    """The description of one application, made anew when the server has other models.

    Args:
        app: with all of its routes.
        settings: say whether keys are asked for.
        models: whose settings are fields of the forms.
        schemas: that the routes refer to.
    """

    def __init__(self, app: FastAPI, settings: Settings, models: Models, schemas: Iterable[type[BaseModel]]) -> None:
        self._app = app
        self._keyed = bool(settings.api_keys.get_secret_value() or settings.api_keys_file)
        self._models = models
        self._schemas = (ProblemDetails, *schemas)
        self._catalogue = models.catalogue
        self._described: dict[str, Any] = {}
        app.openapi = self  # type: ignore[method-assign]

    def __call__(self) -> dict[str, Any]:
        """The description as it is now."""
        if not self._described or self._catalogue is not self._models.catalogue:
            self._catalogue = self._models.catalogue
            self._described = self._describe()
        return self._described

    def _describe(self) -> dict[str, Any]:
        app = self._app
        found = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            license_info=app.license_info,
            routes=app.routes,
        )
        components = found.setdefault("components", {})
        schemas = components.setdefault("schemas", {})
        wanted = [(schema, "serialization") for schema in self._schemas]
        schemas |= models_json_schema(wanted, ref_template=_SCHEMAS)[1]["$defs"]  # type: ignore[arg-type]
        for name in _BY_FASTAPI:
            schemas.pop(name, None)
        for path, operations in found["paths"].items():
            for operation in operations.values():
                # Errors of validation are problems of the status 400 here.
                operation["responses"].pop("422", None)
                if self._keyed and path.startswith("/v1/"):
                    operation["security"] = [{_KEY: []}]
                if task := operation.pop(_TASK, None):
                    self._add_models(operation, task)
        if self._keyed:
            words = "a key of this server, as `Authorization: Bearer KEY`"
            components["securitySchemes"] = {_KEY: {"type": "http", "scheme": "bearer", "description": words}}
        return found

    def _add_models(self, operation: dict[str, Any], task: str) -> None:
        """Adds to a form the settings of a task's models, and the models' names."""
        form = operation["requestBody"]["content"][FORM]["schema"]
        fields = form["properties"]
        settings = {name: _setting_schema(setting) for name, setting in self._models.settings(task).items()}
        # Described routes share what they are described by, so nothing of it is changed.
        fields = (
            settings | fields | {"model": fields["model"] | {"examples": list(self._models.catalogue.models(task))}}
        )
        schema = form | {"properties": fields}
        operation["requestBody"] = {"required": True, "content": {FORM: {"schema": schema}}}


def task_form(form: type[BaseModel], task: str) -> dict[str, Any]:
    """OpenAPI's description of a request with a form, and with the settings of the models of a task."""
    return {_TASK: task} | form_schema(form)


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """OpenAPI's reference to a schema that the application was given."""
    return {"$ref": _SCHEMAS.format(model=model.__name__)}


def responses(*codes: str, body: type[BaseModel] = ProblemDetails) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's description of the problems that a route may answer, by status."""
    described: dict[int | str, dict[str, Any]] = {}
    for code in codes:
        status, title = KINDS[code]
        problem = Problem(code, title.lower())
        entry = described.setdefault(
            status,
            {
                "description": "",
                "content": {MEDIA_TYPE: {"schema": schema_of(body), "examples": {}}},
            },
        )
        entry["description"] = f"{entry['description']}; {title}".removeprefix("; ")
        entry["content"][MEDIA_TYPE]["examples"][code] = {"value": problem.details().model_dump(exclude_none=True)}
        if problem.retry_after is not None or code == "rate_limited":
            entry["headers"] = {"Retry-After": {"description": "seconds", "schema": {"type": "integer", "minimum": 1}}}
    return described


def _setting_schema(setting: Setting) -> dict[str, Any]:
    schema = {
        "type": SETTING_TYPES[setting.kind],
        "description": setting.about,
        "minimum": setting.lowest,
        "maximum": setting.highest,
        "enum": list(setting.choices) or None,
    }
    return {name: value for name, value in schema.items() if value is not None}
