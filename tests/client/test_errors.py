import pickle

import pytest

from concord_client.errors import (
    Cancelled,
    DeadlineExceeded,
    InvalidInput,
    Lost,
    ModelNotFound,
    ServerError,
    Unavailable,
    Unreachable,
    error_from_answer,
)

MESSAGE = "[invalid_mask] MASK: is 3 x 4 pixels where the image is 4 x 3; allowed: the size of the image"


@pytest.mark.parametrize(
    "prefix",
    [
        "",
        "in ensemble 'segment_harmonize', ",
        "[request id: <id_unknown>] ",
        "Failed to process the request(s) for model instance 'decode_0', message: ",
    ],
)
@pytest.mark.parametrize("status", ["StatusCode.INVALID_ARGUMENT", "INTERNAL", "400", "500"])
def test_the_servers_typed_message_is_found_behind_any_prefix(prefix, status):
    error = error_from_answer(status, prefix + MESSAGE, model="harmonize", timeout=1)
    assert isinstance(error, InvalidInput)
    assert (error.code, error.field) == ("invalid_mask", "MASK")
    assert error.problem == "is 3 x 4 pixels where the image is 4 x 3"
    assert error.allowed == "the size of the image"
    assert str(error) == MESSAGE


def test_when_to_come_back_is_kept_where_an_error_travels():
    for error in (Unavailable("busy"), Unreachable("localhost:8001", "grpc", "gone")):
        assert error.retry_after is None
        error.retry_after = 5.0
        assert pickle.loads(pickle.dumps(error)).retry_after == 5.0


def test_a_message_without_allowed_is_typed_too():
    error = error_from_answer("400", "[invalid_image] IMAGE: has no bytes\n", model="m", timeout=1)
    assert isinstance(error, InvalidInput)
    assert (error.problem, error.allowed) == ("has no bytes", "")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("invalid_setting", InvalidInput),
        ("busy", Unavailable),
        ("deadline_exceeded", DeadlineExceeded),
        ("cancelled", Cancelled),
        ("not_finite", ServerError),
        ("server_failure", Lost),
    ],
)
@pytest.mark.parametrize("status", ["", "StatusCode.INTERNAL", "400", "500"])
def test_the_servers_code_decides_whatever_the_status(code, kind, status):
    assert type(error_from_answer(status, f"[{code}] unet: step 3", model="m", timeout=1)) is kind


@pytest.mark.parametrize("code", ["internal", "not_finite"])
def test_a_failure_of_the_server_is_not_blamed_on_the_input(code):
    error = error_from_answer("400", f"in ensemble 'x', [{code}] compose: failed", model="m", timeout=1)
    assert isinstance(error, ServerError)
    assert str(error) == f"[{code}] compose: failed"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("StatusCode.UNAVAILABLE", Unavailable),
        ("503", Unavailable),
        ("429", Unavailable),
        ("StatusCode.DEADLINE_EXCEEDED", DeadlineExceeded),
        ("StatusCode.CANCELLED", Cancelled),
        ("StatusCode.NOT_FOUND", ModelNotFound),
        ("404", ModelNotFound),
        ("StatusCode.INVALID_ARGUMENT", InvalidInput),
        ("StatusCode.RESOURCE_EXHAUSTED", InvalidInput),
        ("413", InvalidInput),
        ("StatusCode.INTERNAL", ServerError),
        ("500", ServerError),
        ("", ServerError),
    ],
)
def test_a_status_without_a_typed_message_has_its_type(status, kind):
    assert type(error_from_answer(status, "anything", model="m", timeout=1)) is kind


@pytest.mark.parametrize(
    ("status", "message", "model"),
    [
        ("INTERNAL", "in ensemble 'segment', Stub process 'cris_post_0_0' is not healthy.", "cris_post"),
        (
            "500",
            "Failed to process the request(s) for model 'ht', message: Stub process 'ht_1_0' is not healthy.",
            "ht",
        ),
        ("", "[server_failure] unet: its process has ended", "unet"),
        ("UNAVAILABLE", "Socket closed", ""),
        ("UNAVAILABLE", "recvmsg:Connection reset by peer", ""),
        ("UNKNOWN", "Stream removed", ""),
    ],
)
def test_what_a_process_lost_is_told_from_what_failed(status, message, model):
    error = error_from_answer(status, message, model="m", timeout=1)
    assert isinstance(error, Lost) and error.model == model


def test_a_deadline_is_no_loss():
    assert isinstance(error_from_answer("DEADLINE_EXCEEDED", "Stream removed", model="m", timeout=1), DeadlineExceeded)


@pytest.mark.parametrize("status", ["StatusCode.UNAVAILABLE", "StatusCode.NOT_FOUND", "400", "404"])
def test_an_unknown_model_is_never_taken_for_a_busy_server(status):
    error = error_from_answer(status, "Request for unknown model: 'nope' is not found", model="m", timeout=1)
    assert isinstance(error, ModelNotFound)
    assert error.model == "nope"


def test_an_unreachable_server_says_how_to_start_one():
    message = str(Unreachable("localhost:8001", "grpc", "connection refused"))
    assert "localhost:8001" in message
    assert "make serve" in message


@pytest.mark.parametrize(
    "error",
    [InvalidInput("c", "F", "p", "a"), Unreachable("u", "grpc", "r"), DeadlineExceeded(2.5), ModelNotFound("m")],
)
def test_errors_survive_a_process_boundary(error):
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
