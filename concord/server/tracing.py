"""What Triton is told so that its spans go to a collector of OpenTelemetry."""

TRACES = "/v1/traces"
"""Path at which a collector takes spans over OTLP/HTTP."""

_NEVER = 2**31 - 1
"""Of so many requests without a trace of their own Triton keeps one: those that name a trace are kept all the same."""


def trace_options(endpoint: str) -> list[str]:
    """Arguments for ``tritonserver`` by which the spans of requests that name a trace are sent to a collector.

    Args:
        endpoint: of the collector, such as ``http://localhost:4318``.
    """
    chosen = (
        "mode=opentelemetry",
        "level=TIMESTAMPS",
        f"rate={_NEVER}",
        f"opentelemetry,url={endpoint}{TRACES}",
        "opentelemetry,resource=service.name=triton",
    )
    return [f"--trace-config={each}" for each in chosen]
