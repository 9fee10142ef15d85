"""The description of the API is complete, and true."""

from importlib.metadata import version

import httpx
import pytest

from facade.app import create_app
from facade.settings import Settings

UPLOADING = ("/v1/harmonize", "/v1/segment")


@pytest.fixture(scope="module")
def described(facade, http) -> dict:
    # What the models take is described when they are known.
    facade.wait_until(lambda: facade.app.state.readiness.ready)
    return http.get("/openapi.json").json()


def operations(described: dict):
    return [
        (path, method, operation)
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    ]


def references(node) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if "$ref" in node else set()
        return own.union(*(references(each) for each in node.values()))
    return set().union(*(references(each) for each in node)) if isinstance(node, list) else set()


def test_the_version_is_that_of_the_distribution(described):
    assert described["info"]["version"] == version("concord")


def test_every_reference_is_there(described):
    schemas = {f"#/components/schemas/{name}" for name in described["components"]["schemas"]}
    assert references(described) <= schemas


def test_every_operation_says_what_it_does_and_what_may_go_wrong(described):
    for path, _, operation in operations(described):
        assert operation["summary"] and operation["description"], path
        assert "422" not in operation["responses"]
        for status, answer in operation["responses"].items():
            if int(status) >= 400:
                # KServe's client reads a refusal only where it is plain JSON.
                kind = "application/json" if path.startswith("/v2") else "application/problem+json"
                assert set(answer["content"]) == {kind}, (path, status)


@pytest.mark.parametrize("path", UPLOADING)
def test_uploads_name_every_problem_with_an_example(described, path):
    answers = described["paths"][path]["post"]["responses"]
    assert {"400", "401", "404", "408", "409", "413", "415", "429", "499", "500", "503", "504"} <= set(answers)
    examples = answers["400"]["content"]["application/problem+json"]["examples"]
    assert {"invalid_image", "missing_field", "duplicate_field", "invalid_setting"} <= set(examples)
    for status in ("429", "503"):
        assert "Retry-After" in answers[status]["headers"]


def test_a_form_s_fields_have_their_bounds_and_examples(described):
    form = described["paths"]["/v1/harmonize"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    fields = form["properties"]
    assert form["required"] == ["image"] and form["additionalProperties"] is False
    assert fields["image"] == {"type": "string", "format": "binary", "description": fields["image"]["description"]}
    assert (fields["steps"]["minimum"], fields["steps"]["maximum"]) == (1, 50)
    assert fields["format"]["enum"] == ["png", "jpeg", "webp", "webp-lossless", "psd"]
    assert fields["format"]["default"] == "png"
    assert fields["text"]["examples"] and all(field["description"] for field in fields.values())


def test_keys_are_described_where_they_are_asked_for(described):
    assert "securitySchemes" not in described["components"]
    keyed = create_app(Settings(page=False, api_keys="one")).openapi()
    assert keyed["components"]["securitySchemes"]
    assert keyed["paths"]["/v1/harmonize"]["post"]["security"] and "security" not in keyed["paths"]["/healthz"]["get"]


def test_it_fetches_nothing_from_elsewhere(http):
    for path in ("/docs", "/redoc"):
        assert http.get(path).status_code == httpx.codes.NOT_FOUND
