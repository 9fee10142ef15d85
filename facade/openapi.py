"""The description of the API: what FastAPI cannot see by itself is added to what it finds."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from facade.problems import KINDS, MEDIA_TYPE, Problem, ProblemDetails
from facade.settings import Settings

_KEY = "api_key"
_BY_FASTAPI = "HTTPValidationError", "ValidationError"


def install(app: FastAPI, settings: Settings) -> None:
    """Has an application describe itself completely."""

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _described(app, bool(settings.api_keys.get_secret_value() or settings.api_keys_file))
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]


def _described(app: FastAPI, keyed: bool) -> dict[str, Any]:
    found = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        license_info=app.license_info,
        routes=app.routes,
    )
    components = found.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    _, models = models_json_schema(
        [(model, "serialization") for model in _SCHEMAS], ref_template="#/components/schemas/{model}"
    )
    schemas |= models["$defs"]
    for name in _BY_FASTAPI:
        schemas.pop(name, None)
    for path, operations in found["paths"].items():
        for operation in operations.values():
            # Errors of validation are problems of the status 400 here.
            operation["responses"].pop("422", None)
            if keyed and path.startswith("/v1/"):
                operation["security"] = [{_KEY: []}]
    if keyed:
        words = "a key of this server, as `Authorization: Bearer KEY`"
        components["securitySchemes"] = {_KEY: {"type": "http", "scheme": "bearer", "description": words}}
    return found


def responses(*codes: str) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's description of the problems that a route may answer, by status."""
    described: dict[int | str, dict[str, Any]] = {}
    for code in codes:
        status, title = KINDS[code]
        problem = Problem(code, title.lower())
        entry = described.setdefault(
            status,
            {
                "description": "",
                "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}, "examples": {}}},
            },
        )
        entry["description"] = f"{entry['description']}; {title}".removeprefix("; ")
        entry["content"][MEDIA_TYPE]["examples"][code] = {"value": problem.details().model_dump(exclude_none=True)}
        if problem.retry_after is not None or code == "rate_limited":
            entry["headers"] = {"Retry-After": {"description": "seconds", "schema": {"type": "integer", "minimum": 1}}}
    return described
