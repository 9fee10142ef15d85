"""A receiver of spans over OTLP/HTTP, as a collector of OpenTelemetry is: protobuf from its SDKs, JSON from Triton."""

import gzip
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HOST = "127.0.0.1"
_PROTOBUF = "application/x-protobuf"


@dataclass(frozen=True)
class Span:
    """A span as it was sent; ids are hexadecimal digits, times nanoseconds since 1970, attributes their values."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    begin: int
    end: int
    attributes: Mapping[str, Any]


class Receiver:
    """What has been sent so far, which is read when it is asked for."""

    def __init__(self) -> None:
        self.url = ""
        self._bodies: list[tuple[str, bytes]] = []
        self._changed = threading.Condition()

    @property
    def spans(self) -> list[Span]:
        with self._changed:
            bodies = list(self._bodies)
        return [span for kind, body in bodies for span in (_protobuf if kind == _PROTOBUF else _json)(body)]

    def wait(self, condition: Callable[[list[Span]], bool], seconds: float) -> list[Span]:
        """The spans, when the condition is true of them.

        Raises:
            TimeoutError: it was not within this time; names the spans that came.
        """
        with self._changed:
            if self._changed.wait_for(lambda: condition(self.spans), seconds):
                return self.spans
        raise TimeoutError(f"came: {[(each.service, each.name) for each in self.spans]}")

    def add(self, kind: str, body: bytes) -> None:
        with self._changed:
            self._bodies.append((kind, body))
            self._changed.notify_all()


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Receives on a free port of loopback for as long as the block runs."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            body = gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body
            receiver.add(self.headers["Content-Type"], body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    with Server((HOST, 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        receiver.url = f"http://{HOST}:{server.server_port}"
        try:
            yield receiver
        finally:
            server.shutdown()


def _protobuf(body: bytes) -> Iterator[Span]:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        service = _values(resource.resource.attributes)["service.name"]
        for span in (span for scope in resource.scope_spans for span in scope.spans):
            yield Span(
                service=service,
                name=span.name,
                trace_id=span.trace_id.hex(),
                span_id=span.span_id.hex(),
                parent_id=span.parent_span_id.hex(),
                begin=span.start_time_unix_nano,
                end=span.end_time_unix_nano,
                attributes=_values(span.attributes),
            )


def _values(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


def _json(body: bytes) -> Iterator[Span]:
    for resource in json.loads(body)["resourceSpans"]:
        service = _json_values(resource["resource"])["service.name"]
        # The elder name is that of Triton 2.51.
        scopes = resource.get("scopeSpans", resource.get("instrumentationLibrarySpans", []))
        for span in (span for scope in scopes for span in scope["spans"]):
            yield Span(
                service=service,
                name=span["name"],
                trace_id=span["traceId"].lower(),
                span_id=span["spanId"].lower(),
                parent_id=span.get("parentSpanId", "").lower(),
                begin=int(span["startTimeUnixNano"]),
                end=int(span["endTimeUnixNano"]),
                attributes=_json_values(span),
            )


def _json_values(holder: Any) -> dict[str, Any]:
    return {each["key"]: next(iter(each["value"].values())) for each in holder.get("attributes") or ()}
