"""Requests that schemathesis makes up from the facade's own description: every answer is one that it describes."""

import os
import socket
from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, reject, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from concord.server.declared import catalogue
from concord.server.installation import MODEL_REPOSITORIES
from facade.app import create_app
from facade.settings import Settings
from tests.facade.asking_kserve import HEADER, in_json
from tests.facade.running import PATIENCE, Facade, running
from tests.facade.test_batches import zipped

CATALOGUE = catalogue(MODEL_REPOSITORIES)
SETTINGS = {setting.public_name for pipeline in CATALOGUE.pipelines for setting in pipeline.settings.values()}
EXAMPLES = int(os.environ.get("CONCORD_FUZZ_EXAMPLES", "25"))
"""Requests of each kind to each route; thousands find more."""
OF_TEXTS = ("/v1/generate", "/v1/images/generations")
DRAWING = 5.0
"""Seconds at most for what is made up of a text alone, which is a whole request, and may ask for minutes of work."""


def operations() -> list:
    app = create_app(Settings(page=False))
    app.state.service.models.know(CATALOGUE)
    described = app.openapi()
    edits = described["paths"]["/v1/images/edits"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    # Schemathesis cannot make up what just misses a list of files beside a file.
    del edits["properties"]["image[]"]
    return [found.ok() for found in schemathesis.openapi.from_dict(described).get_all_operations()]


MADE_UP = [
    (operation, mode)
    for operation in operations()
    for mode in (GenerationMode.POSITIVE, *([GenerationMode.NEGATIVE] if operation.body else []))
]
"""What is described, and what just misses it."""


@st.composite
def made_up(draw, operation, mode):
    """A request; what schemathesis stumbles over while it spoils a file is left out."""
    try:
        return draw(operation.as_strategy(generation_mode=mode))
    except ValueError as error:
        if "Unsupported type: 'Binary'" not in str(error):
            raise
        reject()


def with_photograph(body: dict, path: str, image: bytes, mask: bytes) -> dict:
    """What was made up, with a photograph that can be harmonized and no settings that its model does not have."""
    files = {"archive": zipped({"a.png": image, "a_mask.png": mask})} if path == "/v1/batches" else {"image": image}
    by_mask = {"mask": mask} if path == "/v1/harmonize" else {}
    by_text = {"prompt" if path.startswith("/v1/images/") else "text": "the red ball"}
    part = by_mask if "mask" in body and by_mask else by_text
    if path == "/v1/select":
        part = {"points": "9, 9, 1"}
    if path in OF_TEXTS:
        files = {}
    taken = {"image", "images", "archive", "mask", "text", "prompt", "points", "box", "model"} | SETTINGS
    return {name: value for name, value in body.items() if name not in taken} | files | part


def to_a_pipeline(case, mode, image: bytes) -> None:
    """Has a request ask a pipeline that is there, for what was made up; and with tensors that can be answered."""
    case.path_parameters |= {"name": "segment"} | ({"version": "1"} if "version" in case.path_parameters else {})
    if isinstance(case.body, dict) and mode is GenerationMode.POSITIVE:
        case.headers.pop(HEADER, None)
        case.body |= {"inputs": [in_json("IMAGE", image), in_json("TEXT", "the red ball")], "outputs": []}


def nothing_fails_but_by_its_deadline(_context, response, case) -> None:
    if response.status_code >= 500:
        assert response.status_code == 504 and "timeout" in str(case.body), response.text


HEADERS = (
    *("Authorization", "Cookie", "Host", "Origin", "Accept", "Content-Type", "Content-Encoding", "Expect"),
    *("Connection", "X-Job-Id", "X-Request-Id", "traceparent", "tracestate", HEADER),
)


def status_of(facade: Facade, head: bytes) -> int | None:
    """Of the answer to a request without a body; None where the connection was closed."""
    with socket.create_connection((facade.host, facade.port), timeout=PATIENCE) as connection:
        connection.sendall(head)
        with connection.makefile("rb") as answer:
            line = answer.readline()
    return int(line.split()[1]) if line else None


@pytest.fixture(scope="module")
def keyed(server) -> Iterator[Facade]:
    """A facade that asks for keys, with the page."""
    with running(Settings(triton_url=server.grpc_url, api_keys="ann")) as facade:
        yield facade


CHECKS = (
    nothing_fails_but_by_its_deadline,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
)


@pytest.mark.parametrize(
    "operation, mode", MADE_UP, ids=lambda part: getattr(part, "label", getattr(part, "value", ""))
)
def test_every_answer_is_one_that_is_described(facade, image, mask, operation, mode):
    facade.wait_until(lambda: facade.app.state.readiness.ready)

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=made_up(operation, mode), complete=st.booleans())
    def ask(case, complete):
        if complete and operation.path.startswith("/v2/models"):
            to_a_pipeline(case, mode, image)
        elif complete and mode is GenerationMode.POSITIVE and isinstance(case.body, dict):
            case.body = with_photograph(case.body, operation.path, image, mask)
        if mode is GenerationMode.POSITIVE and operation.path in OF_TEXTS:
            case.body["timeout"] = min(case.body.get("timeout", DRAWING), DRAWING)
        case.validate_response(case.call(base_url=facade.url, timeout=PATIENCE), checks=CHECKS)

    ask()


@pytest.mark.parametrize("header", HEADERS)
def test_no_byte_in_a_header_is_an_error_of_the_server(keyed, header):
    for byte in range(256):
        for name, value in ((header, b"Bearer %c1"), (header + chr(byte), b"1")):
            odd = name.encode("latin-1") + b": " + (value % byte if b"%" in value else value)
            for route in (b"GET /v1/models", b"GET /", b"POST /v2/models/segment/infer"):
                status = status_of(keyed, b"%s HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n" % (route, odd))
                assert status is None or status < 500, odd
