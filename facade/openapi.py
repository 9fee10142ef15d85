"""The description of the API: what FastAPI cannot see by itself is added to what it finds."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from fastapi import FastAPI, Response
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from concord_client.catalogue import Catalogue
from concord_client.settings import Setting
from facade.access.keys import COUNTED, WITHOUT
from facade.problems import KINDS, Problem, ProblemDetails
from facade.wire import events as streams
from facade.wire.caller import JOB_ID
from facade.wire.forms import MEDIA_TYPE as FORM
from facade.wire.forms import form_schema
from facade.wire.replies import JOB, MODEL
from facade.work.catalogue import Models, merged, public_setting
from facade.work.jobs import JOB_ID_PATTERN

BINARY: dict[str, Any] = {"type": "string", "format": "binary"}

_SCHEMAS = "#/components/schemas/{model}"
_KEY = "api_key"
_TASK = "x-task"
_BY_FASTAPI = "HTTPValidationError", "ValidationError"
OF_ALL = ("foreign_origin", "unknown_host", "refused_agent")
_NOT_OF_FORMS = {
    "server_failure",
    "invalid_name",
    "weak_password",
    "forbidden",
    "in_use",
    "wrong_replica",
    "invalid_archive",
    "invalid_tensor",
    "not_found",
    "unknown_job",
    "unknown_account",
    "name_taken",
    "method_not_allowed",
}
JOB_PARAMETER = {
    "name": JOB_ID,
    "in": "header",
    "required": False,
    "description": "an id of your own for the job, under which it can be cancelled; by default the request's",
    "schema": {"type": "string", "pattern": JOB_ID_PATTERN},
    "example": "photo-7",
}
_JOB_HEADERS = {
    MODEL: {"description": "what made it", "schema": {"type": "string"}},
    JOB: {"description": "the id under which it could be cancelled", "schema": {"type": "string"}},
    "Server-Timing": {"description": "milliseconds by stage", "schema": {"type": "string"}},
}


def install(app: FastAPI, models: Models, schemas: Iterable[type[BaseModel]], *, keyed: bool) -> None:
    """Describes an application that has all of its routes, anew when the server has other models.

    Schemas are those that the routes refer to; `keyed` is whether keys are asked for.
    """
    wanted = [(schema, "serialization") for schema in (ProblemDetails, *schemas)]

    @lru_cache(maxsize=1)
    def described(catalogue: Catalogue) -> dict[str, Any]:
        found = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            license_info=app.license_info,
            routes=app.routes,
        )
        components = found["components"]
        components["schemas"] |= models_json_schema(wanted, ref_template=_SCHEMAS)[1]["$defs"]  # type: ignore[arg-type]
        for name in _BY_FASTAPI:
            components["schemas"].pop(name, None)
        for path, operations in found["paths"].items():
            for operation in operations.values():
                # Errors of validation are problems of the status 400 here.
                operation["responses"].pop("422", None)
                refused = {str(status): answer for status, answer in responses(*OF_ALL).items()}
                operation["responses"] = refused | operation["responses"]
                if keyed and path.startswith(COUNTED) and path not in WITHOUT:
                    operation["security"] = [{_KEY: []}]
                if task := operation.pop(_TASK, None):
                    _add_models(operation, catalogue, task)
        if keyed:
            words = "a key of this server, as `Authorization: Bearer KEY`"
            components["securitySchemes"] = {_KEY: {"type": "http", "scheme": "bearer", "description": words}}
        return found

    app.openapi = lambda: described(models.catalogue)  # type: ignore[method-assign]


def answering(
    form: type[BaseModel],
    task: str,
    *,
    description: str,
    content: Mapping[str, type[BaseModel] | None],
    events: Mapping[str, type[BaseModel]],
    example: str,
    problem: type[ProblemDetails] = ProblemDetails,
    headers: Mapping[str, Any] | None = None,
    further: tuple[str, ...] = (),
    body: str = FORM,
) -> dict[str, Any]:
    """How a route is declared that answers a form.

    Args:
        form: its model; the settings of the task's models are further fields.
        content: the answer's schema by its media type; None for binary.
        events: the schema by the name of each event in an answer that is a stream; any stream may end with ``error``.
        example: of a stream.
        headers: of the answer, besides those of every job.
        further: codes of problems that not every form may be answered.
        body: the media type of the form.
    """
    told = {name: schema_of(event) for name, event in {**events, "error": problem}.items()}
    bodies = {media: {"schema": BINARY if model is None else schema_of(model)} for media, model in content.items()}
    stream = {"itemSchema": {"oneOf": [_event(*each) for each in told.items()]}, "example": example}
    answer = {
        "description": description,
        "headers": {**_JOB_HEADERS, **(headers or {})},
        "content": {**bodies, streams.MEDIA_TYPE: stream},
    }
    codes = [code for code in KINDS if code not in _NOT_OF_FORMS or code in further]
    return {
        "response_class": Response,
        "responses": {200: answer, **responses(*codes, body=problem)},
        "openapi_extra": {_TASK: task, "parameters": [JOB_PARAMETER]} | form_schema(form, body),
    }


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """OpenAPI's reference to a schema that the application was given."""
    return {"$ref": _SCHEMAS.format(model=model.__name__)}


def responses(*codes: str, body: type[ProblemDetails] = ProblemDetails) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's description of the problems that a route may answer, by status."""
    described: dict[int | str, dict[str, Any]] = {}
    for code in codes:
        status, title = KINDS[code]
        problem = Problem(code, title.lower())
        content = {body.MEDIA_TYPE: {"schema": schema_of(body), "examples": {}}}
        entry = described.setdefault(status, {"description": "", "content": content})
        entry["description"] = f"{entry['description']}; {title}".removeprefix("; ")
        entry["content"][body.MEDIA_TYPE]["examples"][code] = {"value": problem.details().model_dump(exclude_none=True)}
        if problem.retry_after is not None or code == "rate_limited":
            entry["headers"] = {"Retry-After": {"description": "seconds", "schema": {"type": "integer", "minimum": 1}}}
    return described


def _event(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    data = {"type": "string", "contentMediaType": "application/json", "contentSchema": schema}
    event = {"type": "string", "const": name}
    return {"type": "object", "properties": {"event": event, "data": data}, "required": ["event", "data"]}


def _add_models(operation: dict[str, Any], catalogue: Catalogue, task: str) -> None:
    """Adds to a form the settings of a task's models, and the models' names."""
    [(media_type, content)] = operation["requestBody"]["content"].items()
    form = content["schema"]
    settings = merged(catalogue.of_task(task))
    model = form["properties"]["model"] | {"examples": list(catalogue.models(task))}
    # Described routes share what they are described by, so nothing of it is changed.
    fields = {name: _setting_schema(each) for name, each in settings.items()} | form["properties"] | {"model": model}
    operation["requestBody"] = {"required": True, "content": {media_type: {"schema": form | {"properties": fields}}}}


def _setting_schema(setting: Setting) -> dict[str, Any]:
    schema = public_setting(setting).model_dump(exclude={"name", "default"}, exclude_none=True)
    return {"enum" if name == "choices" else name: value for name, value in schema.items()}
