"""A caller's trace goes on through the facade into Triton, with spans of both."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from concord.instruments.otlp_receiver import Receiver, Span, receiving
from concord.server.embedded import EmbeddedServer, Ports
from concord.server.tracing import trace_options
from facade.settings import Settings
from facade.watch.observe import Trace
from tests.facade.running import PATIENCE, running
from tests.serving.stack import Stack, harmonizing_models, serving, wait_until

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


@dataclass(frozen=True)
class Traced:
    """`concord serve` with its own Triton, and where both send their spans."""

    stack: Stack
    receiver: Receiver

    def harmonize(self, image: bytes, mask: bytes, parent: str = "", **fields: str) -> httpx.Response:
        headers = {"traceparent": parent} if parent else {}
        sent = {"files": {"image": image, "mask": mask}, "data": fields, "headers": headers, "timeout": PATIENCE}
        return httpx.post(f"{self.stack.url}/v1/harmonize", **sent)

    def logged(self, answer: httpx.Response) -> dict[str, str]:
        """The line of the log about an answer; it is written when the answer has been sent."""
        named, found = answer.headers["x-request-id"], list[dict[str, str]]()

        def look() -> bool:
            lines = self.stack.log_path.read_text().rpartition("\n")[0].splitlines()
            found.extend(each for each in map(json.loads, lines) if each.get("request_id") == named)
            return bool(found)

        wait_until(look)
        return found[0]

    def wait_for(self, trace_id: str, *names: str) -> "Tree":
        """The spans of a trace, when those of these names have come; inner spans come before outer ones."""
        of_trace = lambda spans: [each for each in spans if each.trace_id == trace_id]  # noqa: E731
        spans = self.receiver.wait(lambda spans: {each.name for each in of_trace(spans)} >= set(names), PATIENCE)
        return Tree({each.span_id: each for each in of_trace(spans)})


@dataclass(frozen=True)
class Tree:
    """The spans of one trace by their ids."""

    spans: dict[str, Span]

    def only(self, name: str) -> Span:
        [found] = (each for each in self.spans.values() if each.name == name)
        return found

    def way(self, name: str) -> list[str]:
        """The names from the outermost span to this one."""
        span, names = self.only(name), [name]
        while (span := self.spans.get(span.parent_id)) is not None:
            names.insert(0, span.name)
        return names


@pytest.fixture(scope="module")
def traced(tmp_path_factory) -> Iterator[Traced]:
    folder = tmp_path_factory.mktemp("traced")
    flags = ["--model-repository", harmonizing_models(folder)]
    with receiving() as receiver, serving(folder, *flags, "--otlp-endpoint", receiver.url) as stack:
        url = stack.url
        wait_until(lambda: httpx.get(f"{url}/readyz", timeout=PATIENCE).status_code == 200)
        yield Traced(stack, receiver)


def test_one_trace_leads_from_the_caller_through_waiting_and_triton_to_the_network_and_to_encoding(traced, image, mask):
    assert traced.harmonize(image, mask, PARENT, format="jpeg").status_code == 200
    tree = traced.wait_for(TRACE_ID, "POST /v1/harmonize", "encode", "InferRequest")
    request = ["POST /v1/harmonize"]
    assert tree.only(request[0]).parent_id == SPAN_ID
    assert tree.way("read") == [*request, "read"]
    assert tree.way("queued") == [*request, "answer", "queued"]
    called = [*request, "answer", "inference", "harmonize", "infer harmonize_ht"]
    assert tree.way("ht") == [*called, "InferRequest", "harmonize_ht", "ht"]
    assert tree.way("encode") == [*request, "encode"]
    assert {tree.only(each).service for each in ("InferRequest", "ht", "compose")} == {"triton"}
    assert {tree.only(each).service for each in (*request, "queued", "infer harmonize_ht")} == {"concord"}


def test_the_stages_follow_each_other_within_their_request(traced, image, mask):
    trace_id = "1" * 32
    assert traced.harmonize(image, mask, f"00-{trace_id}-{SPAN_ID}-01").status_code == 200
    tree = traced.wait_for(trace_id, "POST /v1/harmonize", "InferRequest")
    request = tree.only("POST /v1/harmonize")
    times = [time for each in ("read", "check", "queued", "inference", "encode") for time in _times(tree.only(each))]
    assert [request.begin, *times, request.end] == sorted([request.begin, *times, request.end])


def _times(span: Span) -> tuple[int, int]:
    return span.begin, span.end


def test_a_request_without_a_trace_begins_one_that_the_log_names(traced, image, mask):
    answer = traced.harmonize(image, mask)
    assert answer.status_code == 200, answer.text
    tree = traced.wait_for(traced.logged(answer)["trace_id"], "POST /v1/harmonize", "InferRequest")
    assert tree.only("POST /v1/harmonize").parent_id == ""
    assert tree.only("answer").attributes == {"concord.task": "harmonize"}
    assert (
        tree.only("POST /v1/harmonize").attributes["concord.model"] == tree.only("queued").attributes["concord.model"]
    )


def test_a_trace_that_its_caller_does_not_keep_is_kept_nowhere(traced, image, mask):
    unwanted, last = "2" * 32, "3" * 32
    assert traced.harmonize(image, mask, f"00-{unwanted}-{SPAN_ID}-00").status_code == 200
    assert traced.harmonize(image, mask, f"00-{last}-{SPAN_ID}-01").status_code == 200
    traced.wait_for(last, "POST /v1/harmonize", "InferRequest")
    assert unwanted not in {each.trace_id for each in traced.receiver.spans}


def test_a_span_of_what_failed_says_its_code_and_none_of_its_words(traced, image):
    trace_id = "4" * 32
    answer = traced.harmonize(image, b"of no use", f"00-{trace_id}-{SPAN_ID}-01")
    assert answer.status_code == 400
    tree = traced.wait_for(trace_id, "POST /v1/harmonize")
    assert tree.only("check").attributes["error.type"] == "invalid_image"
    assert tree.only("POST /v1/harmonize").attributes["concord.problem"] == "invalid_image"
    assert answer.json()["detail"] not in str(tree.spans)


def test_neither_probes_nor_what_asks_for_health_make_spans(traced, image, mask):
    for path in ("/healthz", "/readyz", "/metrics"):
        httpx.get(f"{traced.stack.url}{path}", timeout=PATIENCE)
    trace_id = "5" * 32
    assert traced.harmonize(image, mask, f"00-{trace_id}-{SPAN_ID}-01").status_code == 200
    traced.wait_for(trace_id, "POST /v1/harmonize", "InferRequest")
    roots = {each.name for each in traced.receiver.spans if not each.parent_id}
    assert roots <= {"POST /v1/harmonize"}


def test_a_facade_that_makes_no_spans_passes_the_callers_on_to_triton(tmp_path, image, mask):
    with receiving() as receiver:
        options = trace_options(receiver.url)
        traced = EmbeddedServer([harmonizing_models(tmp_path)], ports=Ports(0, 0, 0), options=options)
        with traced, running(Settings(triton_url=traced.grpc_url, page=False)) as facade:
            files, headers = {"image": image, "mask": mask}, {"traceparent": PARENT}
            answer = httpx.post(f"{facade.url}/v1/harmonize", files=files, headers=headers, timeout=PATIENCE)
            assert answer.status_code == 200
            receiver.wait(lambda spans: (TRACE_ID, SPAN_ID) in {(each.trace_id, each.parent_id) for each in spans}, 60)
