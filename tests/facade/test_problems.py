"""What a caller is told of an error, whatever it was."""

import errno

import pytest
from starlette.exceptions import HTTPException

from concord.errors import InvalidMask
from concord_client import (
    Cancelled,
    DeadlineExceeded,
    InvalidInput,
    Lost,
    ModelNotFound,
    ServerError,
    Unavailable,
    Unreachable,
)
from facade.openapi import responses
from facade.problems import KINDS, Problem, problem_of
from tests.facade.sending import problem

KNOWN = {
    "a typed refusal": (
        InvalidInput("invalid_setting", "STEPS", "is 99", "1 to 50"),
        ("invalid_setting", "steps", "1 to 50", 400),
    ),
    "our own library's": (
        InvalidMask("MASK", "other size", "the image's"),
        ("invalid_mask", "mask", "the image's", 400),
    ),
    "a body too large for Triton": (
        InvalidInput("request_too_large", "request", "too big"),
        ("request_too_large", None, None, 413),
    ),
    "a model that is gone": (ModelNotFound("ht"), ("unknown_model", "model", None, 404)),
    "no time left": (DeadlineExceeded(3), ("deadline_exceeded", None, None, 504)),
    "given up": (Cancelled(), ("cancelled", None, None, 499)),
    "nobody there": (Unreachable("h:1", "grpc", "refused"), ("unavailable", None, None, 503)),
    "going away": (Unavailable("Socket closed"), ("unavailable", None, None, 503)),
    "busy": (Unavailable("[busy] unet: full; allowed: later"), ("busy", None, "later", 503)),
    "a full queue of Triton's": (
        Unavailable("in ensemble 'harmonize', [request id: <id_unknown>] Exceeds maximum queue size"),
        ("busy", None, None, 503),
    ),
    "no number": (ServerError("[not_finite] unet: NaN at step 3"), ("not_finite", None, None, 500)),
    "a dead stub": (Lost("Stub process 'decode' is not healthy."), ("unavailable", None, None, 503)),
    "a full disk": (OSError(errno.ENOSPC, "No space left on device", "/tmp/x"), ("no_room", None, None, 507)),
    "full shared memory": (
        ServerError("Failed to increase the shared memory pool size. Error: No space left on device"),
        ("no_room", None, None, 507),
    ),
    "no page": (HTTPException(404), ("not_found", None, None, 404)),
    "no such method": (HTTPException(405, headers={"Allow": "GET"}), ("method_not_allowed", None, None, 405)),
}


@pytest.mark.parametrize("name", KNOWN)
def test_every_known_error_has_its_code_and_status(name):
    error, expected = KNOWN[name]
    told = problem_of(error)
    assert (told.code, told.field, told.allowed, told.status) == expected
    assert (told.retry_after is not None) == (told.status in (503, 507))


@pytest.mark.parametrize(
    "error",
    [
        ServerError("failed at /opt/tritonserver/model.py, line 3, in execute"),
        InvalidInput("invalid_argument", "request", "[/home/me/x.cc:12] unexpected shape"),
        ValueError("/home/me/secret"),
        KeyError("x"),
    ],
)
def test_words_that_are_not_meant_for_a_caller_do_not_reach_one(error):
    told = problem_of(error)
    assert told.status == 500
    assert "/" not in str(told) and "line" not in str(told) and "secret" not in str(told)


def test_every_kind_has_a_title_and_a_status_of_an_error():
    assert all(400 <= status < 600 and title for status, title in KINDS.values())


def test_kinds_of_one_status_are_described_together():
    described = responses("invalid_image", "invalid_mask", "busy")
    assert set(described) == {400, 503}
    assert set(described[400]["content"]["application/problem+json"]["examples"]) == {"invalid_image", "invalid_mask"}
    assert "Retry-After" in described[503]["headers"]


def test_seconds_to_wait_are_whole_in_the_header():
    answer = Problem("too_busy", "x", retry_after=0.2).response({"type": "http", "path": "/v1/harmonize"})
    assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/v1/nothing", (404, "not_found")),
        ("GET", "/v1/harmonize", (405, "method_not_allowed")),
        ("DELETE", "/v1/models", (405, "method_not_allowed")),
        ("GET", "/docs", (404, "not_found")),
        ("POST", "/v1/jobs/a/b", (404, "not_found")),
        ("POST", "/healthz", (405, "method_not_allowed")),
        ("GET", "/v1/jobs/a", (405, "method_not_allowed")),
    ],
)
def test_paths_and_methods_that_are_not_there_are_problems(http, method, path, expected):
    answer = http.request(method, path)
    assert problem(answer)[:2] == expected
    assert expected[0] != 405 or answer.headers["allow"]
