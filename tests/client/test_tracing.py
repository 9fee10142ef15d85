"""The client's spans: in a program that has OpenTelemetry set up, and nothing at all in one that has not."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from benchmarks.load.identity_model import write_instant
from concord.instruments.otlp_receiver import Receiver, Span, receiving
from concord.server.embedded import EmbeddedServer, Ports
from concord.server.tracing import TRACES, trace_options

PATIENCE = 60.0
PARENT = "b7ad6b7169203331"

_SET_UP = f"""
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

provider = TracerProvider(resource=Resource.create({{"service.name": "program"}}))
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(sys.argv[3] + "{TRACES}")))
trace.set_tracer_provider(provider)
"""
_BLOCKING = """
from concord_client import Client

with Client(sys.argv[1], protocol=sys.argv[2]) as client:
    client.harmonize(b"photograph", mask=b"mask", headers=headers)
"""
_ASYNCIO = """
import asyncio
from concord_client import AsyncClient

async def main():
    async with AsyncClient(sys.argv[1], protocol=sys.argv[2]) as client:
        await client.harmonize(b"photograph", mask=b"mask", headers=headers)

asyncio.run(main())
"""


@dataclass(frozen=True)
class Traced:
    """A Triton and where it and programs send their spans."""

    server: EmbeddedServer
    receiver: Receiver

    def run(self, program: str, protocol: str) -> None:
        url = self.server.grpc_url if protocol == "grpc" else self.server.http_url
        command = [sys.executable, "-c", f"import sys\n{program}", url, protocol, self.receiver.url]
        ran = subprocess.run(command, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr

    def wait_for(self, trace_id: str) -> dict[str, Span]:
        """The spans of a trace by their names, when Triton's outermost has come."""

        def of_trace(spans: list[Span]) -> dict[str, Span]:
            return {each.name: each for each in spans if each.trace_id == trace_id}

        return of_trace(self.receiver.wait(lambda spans: "InferRequest" in of_trace(spans), PATIENCE))


@pytest.fixture(scope="module")
def traced(tmp_path_factory) -> Iterator[Traced]:
    folder = tmp_path_factory.mktemp("models")
    write_instant(folder)
    with (
        receiving() as receiver,
        EmbeddedServer([folder], ports=Ports(0, 0, 0), options=trace_options(receiver.url)) as server,
    ):
        yield Traced(server, receiver)


@pytest.mark.parametrize("protocol", ["grpc", "http"])
@pytest.mark.parametrize("call", [_BLOCKING, _ASYNCIO], ids=["blocking", "asyncio"])
def test_a_call_is_a_span_between_that_of_its_program_and_those_of_triton(traced, call, protocol):
    body = "\n".join(f"    {line}" for line in call.splitlines())
    program = f"{_SET_UP}\nheaders = {{}}\nwith trace.get_tracer('program').start_as_current_span('work'):\n{body}"
    before = {each.trace_id for each in traced.receiver.spans}
    traced.run(program, protocol)
    [trace_id] = {each.trace_id for each in traced.receiver.spans if each.service == "program"} - before
    spans = traced.wait_for(trace_id)
    work, call_span, attempt = (spans[name] for name in ("work", "harmonize", "infer instant"))
    assert (call_span.parent_id, attempt.parent_id) == (work.span_id, call_span.span_id)
    assert spans["InferRequest"].parent_id == attempt.span_id
    assert call_span.attributes["concord.model"] == "instant"
    assert attempt.attributes["network.protocol.name"] == protocol


def test_a_trace_named_in_the_headers_goes_before_the_programs_own(traced):
    trace_id = "6" * 32
    headers = {"traceparent": f"00-{trace_id}-{PARENT}-01"}
    traced.run(f"{_SET_UP}\nheaders = {headers}\n{_BLOCKING}", "grpc")
    spans = traced.wait_for(trace_id)
    assert spans["harmonize"].parent_id == PARENT
    assert spans["InferRequest"].parent_id == spans["infer instant"].span_id


@pytest.mark.parametrize("without", ["", "sys.modules['opentelemetry'] = None"], ids=["not set up", "not installed"])
def test_a_program_without_opentelemetry_passes_a_trace_on(traced, without):
    trace_id = ("7" if without else "8") * 32
    headers = {"traceparent": f"00-{trace_id}-{PARENT}-01"}
    traced.run(f"{without}\nheaders = {headers}\n{_BLOCKING}", "grpc")
    spans = traced.wait_for(trace_id)
    assert spans["InferRequest"].parent_id == PARENT
    assert {each.service for each in spans.values()} == {"triton"}
