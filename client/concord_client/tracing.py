"""Spans of OpenTelemetry, for programs that have set it up; in all others these functions do nothing.

Only its API is used: which spans are kept and where they go is the program's own matter.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

try:
    from opentelemetry import context, trace
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError:
    _INSTALLED = False
else:
    _INSTALLED = True

_SCOPE = "concord"
_PARENT, _STATE = "traceparent", "tracestate"
_MAX_STATE = 512
"""Characters of a ``tracestate`` that are passed on: W3C asks for no more, and gRPC refuses metadata that are long."""
_SUPPRESSED = "suppress_instrumentation"
"""OpenTelemetry's own key in a context, which other instrumentation looks at, too."""


@contextmanager
def span(
    name: str,
    *,
    calls: bool = False,
    headers: Mapping[str, str] | None = None,
    attributes: Mapping[str, str | int] | None = None,
) -> Iterator[None]:
    """A span around the block, in which it is the current one.

    Args:
        calls: whether the block asks another program, so that this is a span of the kind ``CLIENT``.
        headers: a ``traceparent`` among them names the parent; without one it is the current span.
    """
    if not _INSTALLED or context.get_value(_SUPPRESSED):
        yield
        return
    with trace.get_tracer(_SCOPE).start_as_current_span(
        name,
        context=_parent(headers) if headers else None,
        kind=trace.SpanKind.CLIENT if calls else trace.SpanKind.INTERNAL,
        attributes=attributes,
        # The words of an exception may be a caller's.
        record_exception=False,
        set_status_on_exception=False,
    ) as current:
        try:
            yield
        except BaseException as error:
            code = getattr(error, "code", None)
            current.set_attribute("error.type", code if isinstance(code, str) else type(error).__name__)
            current.set_status(trace.StatusCode.ERROR)
            raise


def note(attributes: Mapping[str, str | int]) -> None:
    """Adds to the current span what is known now."""
    if _INSTALLED:
        trace.get_current_span().set_attributes(attributes)


@contextmanager
def untraced() -> Iterator[None]:
    """Nothing in the block makes a span."""
    if not _INSTALLED:
        yield
        return
    token = context.attach(context.set_value(_SUPPRESSED, True))
    try:
        yield
    finally:
        context.detach(token)


def carried(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Headers under which the server's own spans are children of the current span.

    Without a span of this program's they stay as they are. Where the current span is not kept, they name no trace:
    Triton keeps every span of a request that names one, whatever its flags say.
    """
    if not _INSTALLED:
        return headers
    current, given = trace.get_current_span().get_span_context(), _named(headers)
    if not current.is_valid or (given.trace_id, given.span_id) == (current.trace_id, current.span_id):
        return headers
    others = {name: value for name, value in headers.items() if name.lower() not in (_PARENT, _STATE)}
    if not current.trace_flags.sampled:
        return others
    own: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(own)
    if len(own.get(_STATE, "")) > _MAX_STATE:
        del own[_STATE]
    return others | own


def current_trace() -> str:
    """The id of the trace that the current span belongs to, 32 hexadecimal digits; empty without one."""
    current = trace.get_current_span().get_span_context() if _INSTALLED else None
    return trace.format_trace_id(current.trace_id) if current is not None and current.is_valid else ""


def _parent(headers: Mapping[str, str]) -> "context.Context | None":
    named = _named(headers)
    return trace.set_span_in_context(trace.NonRecordingSpan(named)) if named.is_valid else None


def _named(headers: Mapping[str, str]) -> "trace.SpanContext":
    lower = {name.lower(): value for name, value in headers.items()}
    return trace.get_current_span(TraceContextTextMapPropagator().extract(lower)).get_span_context()
