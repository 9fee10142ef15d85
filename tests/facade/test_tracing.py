"""A caller's trace goes on through the facade into Triton."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from concord.server.embedded import EmbeddedServer, Ports
from facade.settings import Settings
from facade.watch.observe import Trace
from tests.facade.running import PATIENCE, running
from tests.serving.stack import harmonizing_models

TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE_ID}-{SPAN_ID}-01"


def trace_of(*headers: tuple[str, str]) -> Trace:
    return Trace.of([(name.encode(), value.encode()) for name, value in headers])


def test_a_trace_is_passed_on_as_it_came():
    trace = trace_of(("traceparent", PARENT), ("tracestate", "a=1"), ("tracestate", "b=2"))
    assert trace == Trace(TRACE_ID, {"traceparent": PARENT, "tracestate": "a=1,b=2"})


def test_a_later_version_is_passed_on_too():
    later = f"01-{TRACE_ID}-{SPAN_ID}-01-more"
    assert trace_of(("traceparent", later)) == Trace(TRACE_ID, {"traceparent": later})


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("tracestate", "a=1")],
        [("traceparent", PARENT), ("traceparent", PARENT)],
        [("traceparent", PARENT.upper())],
        [("traceparent", PARENT + "-more")],
        [("traceparent", f"ff-{TRACE_ID}-{SPAN_ID}-01")],
        [("traceparent", f"00-{'0' * 32}-{SPAN_ID}-01")],
        [("traceparent", f"00-{TRACE_ID}-{'0' * 16}-01")],
        [("traceparent", "ü" * 55)],
        [("traceparent", f"01-{TRACE_ID}-{SPAN_ID}-01-ü")],
        [("traceparent", f"01-{TRACE_ID}-{SPAN_ID}-01-a\tb")],
        [("traceparent", f"01-{TRACE_ID}-{SPAN_ID}-01-{'x' * 201}")],
        [("traceparent", "")],
    ],
)
def test_what_is_no_trace_is_not_passed_on(headers):
    assert trace_of(*headers) == Trace()


@pytest.mark.parametrize("state", ["a=" + "1" * 600, "a=ü", "a=1\t2"])
def test_a_wrong_state_is_left_out_and_the_trace_is_kept(state):
    assert trace_of(("traceparent", PARENT), ("tracestate", state)) == Trace(TRACE_ID, {"traceparent": PARENT})


@pytest.mark.parametrize("more", [b"\xff\xfe", b"a\tb", b"x" * 30_000], ids=["not ASCII", "a tab", "long"])
def test_a_trace_that_grpc_would_not_take_fails_nothing(http, image, mask, more):
    headers = {b"traceparent": f"01-{TRACE_ID}-{SPAN_ID}-01-".encode() + more}
    answer = http.post("/v1/harmonize", files={"image": image, "mask": mask}, headers=headers)
    assert answer.status_code == 200, answer.text


class Collector:
    """Receives spans as OTLP over HTTP."""

    def __init__(self) -> None:
        self._spans: list[dict] = []
        self._changed = threading.Condition()

    def add(self, spans: list[dict]) -> None:
        with self._changed:
            self._spans += spans
            self._changed.notify_all()

    def wait_for_child(self, trace_id: str, parent: str) -> None:
        """Returns when a span of this trace has come whose parent is this one; inner spans come before outer ones."""
        with self._changed:
            assert self._changed.wait_for(
                lambda: any(
                    (span["traceId"].lower(), span.get("parentSpanId", "").lower()) == (trace_id, parent)
                    for span in self._spans
                ),
                PATIENCE,
            )


@contextmanager
def collecting() -> Iterator[tuple[Collector, str]]:
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            for resource in body["resourceSpans"]:
                for scope in resource.get("scopeSpans", resource.get("instrumentationLibrarySpans", [])):
                    collector.add(scope["spans"])
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield collector, f"http://127.0.0.1:{server.server_port}/v1/traces"
        finally:
            server.shutdown()


def test_spans_of_triton_belong_to_the_callers_trace(tmp_path, image, mask):
    with collecting() as (collector, url):
        options = ["level=TIMESTAMPS", "rate=1", "mode=opentelemetry", f"opentelemetry,url={url}"]
        traced = EmbeddedServer(
            [harmonizing_models(tmp_path)],
            ports=Ports(0, 0, 0),
            options=[f"--trace-config={option}" for option in options],
        )
        with traced, running(Settings(triton_url=traced.grpc_url, page=False)) as facade:
            answer = httpx.post(
                f"{facade.url}/v1/harmonize",
                files={"image": image, "mask": mask},
                headers={"traceparent": PARENT},
                timeout=PATIENCE,
            )
            assert answer.status_code == 200
            collector.wait_for_child(TRACE_ID, SPAN_ID)
