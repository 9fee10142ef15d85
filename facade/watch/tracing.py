"""W3C trace context: taken from a request and passed on to Triton as it came.

The facade records no spans, so the caller's span stays the parent of Triton's: a level-2 implementation that takes no
part in a trace hands ``traceparent`` on unchanged (https://www.w3.org/TR/trace-context-2/).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_PARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
_MAX_STATE = 512


@dataclass(frozen=True)
class Trace:
    """The trace a request belongs to.

    Attributes:
        trace_id: 32 hexadecimal digits; empty if the request belongs to none.
        headers: ``traceparent`` and ``tracestate``, to be sent on, as gRPC metadata or as HTTP headers.
    """

    trace_id: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, headers: Iterable[tuple[bytes, bytes]]) -> "Trace":
        """The trace named by an ASGI request's headers; none where ``traceparent`` is missing, double or wrong."""
        parents, states = [], []
        for name, value in headers:
            if name == b"traceparent":
                parents.append(value.decode("latin-1").strip())
            elif name == b"tracestate":
                states.append(value.decode("latin-1").strip())
        found = _PARENT.fullmatch(parents[0]) if len(parents) == 1 else None
        # Version 00 has nothing after the flags.
        if found is None or (found[2] and parents[0].startswith("00")):
            return cls()
        state = ",".join(filter(None, states))
        passed = {"traceparent": parents[0]}
        if state and len(state) <= _MAX_STATE and state.isascii() and state.isprintable():
            passed["tracestate"] = state
        return cls(found[1], passed)
