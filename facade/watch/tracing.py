"""Sends the facade's spans to a collector of OpenTelemetry.

FastAPI makes the span of a request, and everything below it the rest: see `concord_client.tracing`.
"""

import os
from collections.abc import Callable
from importlib.metadata import version

from fastapi.telemetry import TelemetryConfig

from concord.server.tracing import TRACES
from facade.settings import SettingsError

TELEMETRY: TelemetryConfig = {"metrics": False, "logs": False, "operation_spans": False, "auto_configure": False}
"""Of what FastAPI can tell OpenTelemetry, the spans of requests: the metrics and the log are the facade's own."""

_FLUSH_MILLISECONDS = 5000


def start(endpoint: str) -> Callable[[], None]:
    """Has the spans of this process sent, in a thread of its own; to be called once.

    Which of them are kept, and the headers they are sent with, OpenTelemetry's own variables say:
    ``OTEL_TRACES_SAMPLER``, ``OTEL_EXPORTER_OTLP_HEADERS``.

    Args:
        endpoint: of the collector, such as ``http://localhost:4318``.

    Returns:
        What sends the last ones, and waits seconds for that.

    Raises:
        SettingsError: the libraries for it are not installed.
    """
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        needed = "--otlp-endpoint (CONCORD_OTLP_ENDPOINT): it needs the extra `otel`: pip install 'concord[otel]'"
        raise SettingsError(needed) from None
    name = os.environ.get("OTEL_SERVICE_NAME", "concord")
    resource = Resource.create({"service.name": name, "service.version": version("concord")})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{endpoint}{TRACES}")))
    trace.set_tracer_provider(provider)

    def stop() -> None:
        provider.force_flush(_FLUSH_MILLISECONDS)
        provider.shutdown()

    return stop
