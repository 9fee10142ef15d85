"""The log is JSON, a line for each request, and holds nothing of what callers sent but ids."""

import base64
import json
import signal
import subprocess
import sys

import httpx
import pytest

from facade.settings import rows
from tests.facade.running import PATIENCE
from tests.serving.pictures import encoded, middle, photograph
from tests.serving.stack import Stack, serving

KEY, TEXT = "concord-key-of-ann", "the unmistakable teddy bear"
IMAGE, MASK = encoded(photograph(64, 48)), encoded(middle(64, 48))
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture(scope="module")
def logged(server, tmp_path_factory) -> Stack:
    """A facade that was asked all kinds of things and has ended."""
    folder = tmp_path_factory.mktemp("logged")
    with serving(folder, "--triton-url", server.grpc_url, "--api-keys", KEY) as stack:
        headers = {"Authorization": f"Bearer {KEY}", "traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01"}
        with httpx.Client(base_url=stack.url, headers=headers, timeout=PATIENCE) as client:
            for number, form in enumerate(
                [
                    {"files": {"image": IMAGE, "mask": MASK}},
                    {"files": {"image": IMAGE}, "data": {"text": TEXT}},
                    {"files": {"image": IMAGE, "mask": MASK}, "data": {"text": TEXT}},
                    {"files": {"image": IMAGE[:-500], "mask": MASK}},
                    {"files": {"image": IMAGE, "mask": MASK}, "data": {"format": TEXT}},
                    {"files": {"image": IMAGE}, "data": {TEXT: TEXT}},
                ]
            ):
                client.post("/v1/harmonize", headers={"X-Request-Id": f"request-{number}"}, **form)
            for headers in ({"X-Job-Id": TEXT}, {"X-Job-Id": "job-7"}):
                form = {"files": {"image": IMAGE, "mask": MASK}, "data": {"model": TEXT}}
                client.post("/v1/harmonize", headers=headers | {"X-Request-Id": "words"}, **form)
            client.get(f"/{TEXT}?text={TEXT}", headers={"X-Request-Id": "bad; id"})
            client.get("/v1/models", headers={"Authorization": "Bearer another-key"})
        stack.process.send_signal(signal.SIGTERM)
        assert stack.process.wait(PATIENCE) == 0
        return stack


def request(logged: Stack, request_id: str) -> dict:
    [line] = [line for line in logged.log() if line["event"] == "request" and line["request_id"] == request_id]
    return line


def test_a_request_is_a_line_with_what_matters(logged):
    line = request(logged, "request-0")
    assert (line["method"], line["route"], line["status"], line["model"]) == ("POST", "/v1/harmonize", 200, "ht")
    assert line["ms"] > 0 and line["key"] == "key-1" and line["trace_id"] == TRACE_ID and line["job"]
    assert line["level"] == "info" and line["timestamp"].endswith("Z")


def test_a_refused_request_says_why(logged):
    line = request(logged, "request-2")
    assert (line["status"], line["problem"]) == (400, "invalid_setting")


def test_an_id_that_could_confuse_a_log_is_replaced(logged):
    [line] = [line for line in logged.log() if line["event"] == "request" and line["route"] == "other"][:1]
    assert len(line["request_id"]) == 32 and line["status"] == 404


def test_a_model_and_a_job_that_cannot_be_are_not_written_down(logged):
    first, second = [line for line in logged.log() if line["event"] == "request" and line["request_id"] == "words"]
    assert (first["model"], first["status"]) == (second["model"], second["status"]) == ("other", 404)
    assert "job" not in first and second["job"] == "job-7"


def test_no_key_no_text_and_no_image_is_in_it(logged):
    log = logged.log_path.read_bytes()
    assert KEY.encode() not in log and b"another-key" not in log
    for word in (TEXT, TEXT.replace(" ", "%20"), "teddy"):
        assert word.encode() not in log
    for picture in (IMAGE, MASK):
        assert picture[:16] not in log and base64.b64encode(picture)[:24] not in log


def test_every_setting_is_printed_once_at_the_start(logged):
    [shown] = [line for line in logged.log() if line["event"] == "settings"]
    assert {row.name for row in rows()} <= shown.keys() and shown["api_keys"] == "**********"


FAILING = """
from facade.watch import logs
import structlog, logging
logs.configure("info")
def fail(image, text):
    try:
        raise ValueError(text)
    except ValueError as error:
        raise RuntimeError(f"about {text}") from error
for log in (structlog.get_logger(), logging.getLogger("uvicorn.error")):
    try:
        fail(b"secret image", "secret text")
    except RuntimeError as error:
        error.add_note("secret note")
        log.error("failed", exc_info=error)
"""


def test_an_exception_is_written_down_without_its_words_and_values():
    ran = subprocess.run([sys.executable, "-c", FAILING], capture_output=True, text=True, check=True)
    assert "secret" not in ran.stdout + ran.stderr
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    assert len(lines) == 2
    for line in lines:
        assert [each["exc_type"] for each in line["exception"]] == ["RuntimeError", "ValueError"]
        assert line["exception"][0]["frames"][-1]["name"] == "fail"


def test_whoever_reads_the_log_may_go_away():
    program = "from facade.watch import logs; import structlog; logs.configure('info')\nfor _ in range(9): "
    program += "structlog.get_logger().info('x' * 70000)"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert b"BrokenPipe" not in process.stderr.read()
