"""What both clients promise over both protocols; `ask` is one call of one of the four."""

import asyncio
import inspect
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from concord_client import (
    AsyncClient,
    Cancellation,
    Cancelled,
    Client,
    DeadlineExceeded,
    InvalidInput,
    Lost,
    Model,
    ModelNotFound,
    Retry,
    Segment,
    ServerError,
    Tensor,
    Unavailable,
    Unreachable,
    grpc_transport,
    losses,
)
from concord_client.errors import MOST_LOSSES
from concord_client.inference import Inference

IMAGE = b"\xff\xd8 a photograph \x00\x00"
BUSY = ("UNAVAILABLE", "in ensemble 'segment', Exceeds maximum queue size")


def test_a_text_asks_the_pipeline_that_takes_one(ask, kserve):
    answer = ask(kserve.url, "harmonize", IMAGE, text="der Bär 🧸")
    assert kserve.received == [
        (
            "segment_harmonize_ht",
            {"IMAGE": IMAGE, "TEXT": "der Bär 🧸".encode()},
            ["HARMONIZED", "MASK", "SCORE", "TRUNCATED"],
        )
    ]
    assert (answer.image, answer.mask) == (kserve.answers["HARMONIZED"], kserve.answers["MASK"])
    assert (answer.score, answer.truncated) == (0.75, False)


def test_a_mask_asks_the_pipeline_that_takes_one(ask, kserve, tmp_path):
    mask = tmp_path / "eine Maske ü.png"
    mask.write_bytes(b"mask")
    answer = ask(kserve.url, "harmonize", IMAGE, mask=mask)
    assert kserve.received == [("harmonize_ht", {"IMAGE": IMAGE, "MASK": b"mask"}, ["HARMONIZED"])]
    assert answer.image == kserve.answers["HARMONIZED"]
    assert (answer.mask, answer.score, answer.truncated) == (None, None, False)


def test_the_predicted_mask_is_only_asked_for_when_wanted(ask, kserve):
    answer = ask(kserve.url, "harmonize", IMAGE, text="bear", return_mask=False)
    assert kserve.received[0][2] == ["HARMONIZED", "SCORE", "TRUNCATED"]
    assert answer.mask is None


def test_segment_answers_mask_score_and_truncation(ask, kserve):
    kserve.answers["TRUNCATED"] = b"\x01"
    answer = ask(kserve.url, "segment", IMAGE, "bear")
    assert kserve.received == [("segment", {"IMAGE": IMAGE, "TEXT": b"bear"}, ["MASK", "SCORE", "TRUNCATED"])]
    assert (answer.mask, answer.score, answer.truncated) == (kserve.answers["MASK"], 0.75, True)


@pytest.mark.parametrize("method", ["harmonize", "segment"])
def test_headers_go_along(ask, kserve, method):
    trace = {"Traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
    ask(kserve.url, method, IMAGE, text="the bear", headers=trace)
    assert kserve.headers["traceparent"] == trace["Traceparent"]


@pytest.mark.parametrize("options", [{}, {"text": "bear", "mask": b"mask"}])
def test_exactly_one_of_text_and_mask_is_taken(ask, kserve, options):
    with pytest.raises(ValueError, match="either a text or a mask"):
        ask(kserve.url, "harmonize", IMAGE, **options)
    assert kserve.received == []


def test_a_path_as_text_is_refused_before_anything_is_sent(ask, kserve):
    with pytest.raises(TypeError, match=r"pathlib\.Path"):
        ask(kserve.url, "segment", "photo.jpg", "bear")
    assert kserve.received == []


def test_text_that_is_no_utf8_reaches_the_server_for_it_to_refuse(ask, kserve):
    ask(kserve.url, "segment", IMAGE, "b\udce4r")
    with pytest.raises(UnicodeDecodeError):
        kserve.received[0][1]["TEXT"].decode()


def test_a_refused_input_is_typed_and_not_sent_again(ask, kserve):
    kserve.script = [("INVALID_ARGUMENT", "in ensemble 'segment', [invalid_image] IMAGE: is no image; allowed: JPEG")]
    with pytest.raises(InvalidInput) as refusal:
        ask(kserve.url, "segment", IMAGE, "bear")
    error = refusal.value
    assert (error.code, error.field, error.problem, error.allowed) == ("invalid_image", "IMAGE", "is no image", "JPEG")
    assert len(kserve.received) == 1


def test_a_busy_server_is_asked_again(ask, kserve):
    kserve.script = [BUSY, BUSY]
    assert ask(kserve.url, "segment", IMAGE, "bear").score == 0.75
    assert len(kserve.received) == 3


def test_retries_are_bounded(ask, kserve):
    kserve.script = [BUSY] * 10
    with pytest.raises(Unavailable, match="queue size"):
        ask(kserve.url, "segment", IMAGE, "bear")
    assert len(kserve.received) == 3


def test_retries_stop_at_the_deadline(ask, kserve):
    kserve.script = [BUSY] * 10
    with pytest.raises(Unavailable):
        ask(kserve.url, "segment", IMAGE, "bear", retry=Retry(attempts=9, first_delay=1000, longest_delay=1000))
    assert len(kserve.received) == 1


def test_who_is_told_when_to_come_back_waits_for_it(ask, kserve):
    kserve.script, kserve.retry_after = [BUSY], "1"
    began = time.monotonic()
    assert ask(kserve.url, "segment", IMAGE, "bear").score == 0.75
    assert time.monotonic() - began >= 1 and len(kserve.received) == 2


@pytest.mark.parametrize("told", ["3600", "a date"])
def test_what_would_come_after_the_deadline_is_an_error_at_once_that_says_when(ask, kserve, told):
    later = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    kserve.script, kserve.retry_after = [BUSY] * 10, later if told == "a date" else told
    with pytest.raises(Unavailable) as refused:
        ask(kserve.url, "segment", IMAGE, "bear", timeout=30)
    assert 3000 < refused.value.retry_after <= 3600 and len(kserve.received) == 1


LOST = ("INTERNAL", "in ensemble 'segment', Stub process 'segment_0_0' is not healthy.")


def test_what_a_process_lost_is_asked_again_however_often_a_refusal_would_be(ask, kserve, monkeypatch):
    # The fake server never says that it was loaded again.
    monkeypatch.setattr(losses, "_LOOKS", 1)
    kserve.script = [LOST] * 6
    assert ask(kserve.url, "segment", IMAGE, "bear").score == 0.75
    assert len(kserve.received) == 7
    assert all(received == kserve.received[0] for received in kserve.received)


def test_what_ends_one_process_after_the_other_is_given_up(ask, kserve):
    kserve.script = [LOST] * 100
    parameters = kserve.config("segment")["parameters"]

    def load_again(_):
        parameters["reloads"] = {"string_value": str(len(kserve.received))}

    with pytest.raises(Lost, match="not healthy"):
        ask(kserve.url, "run", Segment(IMAGE, "bear"), on_lost=load_again)
    assert len(kserve.received) == MOST_LOSSES


def test_a_call_does_not_wait_for_a_process_that_others_know_already(grpc_kserve):
    grpc_kserve.script = [LOST]
    parameters = grpc_kserve.config("segment")["parameters"]

    def load_again(_):
        parameters["reloads"] = {"string_value": "1"}
        client.catalogue(max_age=0)
        grpc_kserve.looked.clear()

    with Client(grpc_kserve.url, retry=Retry(attempts=3, first_delay=0.001)) as client:
        client.run(Segment(IMAGE, "bear"), on_lost=load_again)
    assert grpc_kserve.looked == ["segment"]


def test_who_wants_no_retries_gets_none_of_what_was_lost(ask, kserve):
    kserve.script = [LOST]
    with pytest.raises(Lost):
        ask(kserve.url, "segment", IMAGE, "bear", retry=Retry(attempts=1))


def test_the_caller_may_end_what_would_be_asked_again(ask, kserve):
    kserve.script = [LOST] * 100
    with pytest.raises(ZeroDivisionError):
        ask(kserve.url, "run", Segment(IMAGE, "bear"), on_lost=lambda error: 1 // 0)
    assert len(kserve.received) == 1


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        (("INTERNAL", "the model failed"), ServerError),
        (("NOT_FOUND", "Request for unknown model: 'segment' is not found"), ModelNotFound),
        (("UNAVAILABLE", "Request for unknown model: 'segment' is not found"), ModelNotFound),
    ],
)
def test_only_an_unavailable_server_is_asked_again(ask, kserve, refusal, kind):
    kserve.script = [refusal]
    with pytest.raises(kind):
        ask(kserve.url, "segment", IMAGE, "bear")
    assert len(kserve.received) == 1


def test_no_answer_in_time_ends_the_call_and_the_server_sees_it(ask, kserve):
    kserve.script = ["hang"]
    with pytest.raises(DeadlineExceeded, match=r"within 2 s"):
        ask(kserve.url, "segment", IMAGE, "bear", timeout=2)
    assert kserve.left.wait(10)
    assert len(kserve.received) == 1


def test_a_server_that_is_not_up_is_unreachable(ask, closed_url):
    with pytest.raises(Unreachable, match="make serve") as refusal:
        ask(closed_url, "segment", IMAGE, "bear")
    assert refusal.value.address == closed_url


def test_the_port_of_the_other_protocol_is_unreachable_too(ask, other_kserve):
    with pytest.raises(Unreachable):
        ask(other_kserve.url, "segment", IMAGE, "bear")


def test_an_answer_without_its_tensors_is_the_servers_error(ask, kserve):
    del kserve.answers["SCORE"]
    with pytest.raises(ServerError, match="SCORE"):
        ask(kserve.url, "segment", IMAGE, "bear")


def test_models_lists_versions_and_tensors(ask, kserve):
    kserve.configs = [kserve.config("segment")]
    assert ask(kserve.url, "models") == [
        Model("segment", "1", (Tensor("IMAGE", "BYTES", (-1, 1)),), (Tensor("SCORE", "FP32", (-1, 1)),)),
    ]


def test_ready_is_false_while_the_server_starts_and_when_there_is_none(ask, kserve, closed_url):
    kserve.ready_after = 1
    assert not ask(kserve.url, "ready")
    assert ask(kserve.url, "ready")
    assert not ask(closed_url, "ready")


def test_waiting_ends_when_the_server_is_ready(ask, kserve):
    kserve.ready_after = 2
    ask(kserve.url, "wait_until_ready", timeout=30)
    assert kserve.ready()


def test_waiting_in_vain_says_what_was_in_the_way(ask, kserve, closed_url):
    kserve.ready_after = 1000
    with pytest.raises(Unavailable, match="was not ready within") as waited:
        ask(kserve.url, "wait_until_ready", timeout=0.3)
    assert not isinstance(waited.value, Unreachable)
    with pytest.raises(Unreachable):
        ask(closed_url, "wait_until_ready", timeout=0.3)


def test_a_cancelled_task_cancels_its_call(kserve, protocol):
    kserve.script = ["hang"]

    async def cancel():
        async with AsyncClient(kserve.url, protocol=protocol) as client:
            task = asyncio.create_task(client.segment(IMAGE, "bear"))
            assert await asyncio.to_thread(kserve.entered.wait, 10)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await asyncio.to_thread(kserve.left.wait, 10)
            return await client.segment(IMAGE, "bear")

    assert asyncio.run(cancel()).score == 0.75


def test_another_thread_cancels_a_blocking_call(kserve, protocol):
    kserve.script = ["hang"]
    cancellation = Cancellation()
    canceller = threading.Thread(target=lambda: kserve.entered.wait(10) and cancellation.cancel())
    with Client(kserve.url, protocol=protocol) as client:
        canceller.start()
        with pytest.raises(Cancelled):
            client.segment(IMAGE, "bear", cancellation=cancellation)
        assert kserve.left.wait(10)
        canceller.join()
        with pytest.raises(Cancelled):
            client.harmonize(IMAGE, text="bear", cancellation=cancellation)
        assert client.segment(IMAGE, "bear").score == 0.75
    assert len(kserve.received) == 2


def test_cancelling_ends_the_wait_between_retries(kserve, protocol):
    kserve.script = [BUSY] * 9
    cancellation = Cancellation()
    canceller = threading.Thread(target=lambda: kserve.entered.wait(10) and cancellation.cancel())
    canceller.start()
    retry = Retry(attempts=9, first_delay=50.0, longest_delay=50.0)
    with Client(kserve.url, protocol=protocol, retry=retry) as client, pytest.raises(Cancelled):
        client.segment(IMAGE, "bear", cancellation=cancellation)
    canceller.join()
    assert len(kserve.received) == 1


def test_a_client_serves_many_threads(kserve, protocol):
    answers = []
    with Client(kserve.url, protocol=protocol) as client:
        threads = [
            threading.Thread(target=lambda: answers.append(client.segment(IMAGE, "bear").score)) for _ in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == [0.75] * 6


def test_large_answers_come_through(ask, kserve):
    kserve.answers["HARMONIZED"] = bytes(20_000_000)
    assert len(ask(kserve.url, "harmonize", bytes(6_000_000), text="bear").image) == 20_000_000


@pytest.mark.parametrize("client", [Client, AsyncClient])
@pytest.mark.parametrize("url", ["localhost", "http://localhost:8000", "localhost:8000/v2", ":8001", ""])
def test_an_address_that_cannot_be_is_refused_at_once(client, url):
    with pytest.raises(ValueError, match="host:port"):
        client(url)


def test_an_unknown_protocol_is_refused():
    with pytest.raises(ValueError, match="allowed: grpc, http"):
        Client(protocol="rest")


def test_both_clients_have_the_same_calls():
    def calls(client):
        return {
            name: [parameter for parameter in inspect.signature(method).parameters if parameter != "cancellation"]
            for name, method in inspect.getmembers(client, inspect.isfunction)
            if not name.startswith("_")
        }

    assert calls(Client) == calls(AsyncClient)


def test_calls_of_one_loop_that_come_at_once_ask_together_what_the_server_has(grpc_kserve):
    async def segment_often():
        async with AsyncClient(grpc_kserve.url) as client:
            return await asyncio.gather(*(client.segment(IMAGE, "bear") for _ in range(20)))

    answers = asyncio.run(segment_often())
    assert [answer.mask for answer in answers] == [grpc_kserve.answers["MASK"]] * 20
    assert len(grpc_kserve.looked) == len(set(grpc_kserve.looked))


def test_large_messages_are_written_and_read_beside_the_event_loop(grpc_kserve, monkeypatch):
    threads = []

    def noted(work):
        def done(*arguments):
            threads.append(threading.current_thread())
            return work(*arguments)

        return done

    monkeypatch.setattr(Inference, "read", noted(Inference.read))
    monkeypatch.setattr(grpc_transport, "infer_request", noted(grpc_transport.infer_request))
    grpc_kserve.answers["MASK"] = bytes(2**21)

    async def ask():
        async with AsyncClient(grpc_kserve.url) as client:
            return await client.segment(bytes(2**21), "bear")

    assert asyncio.run(ask()).mask == bytes(2**21)
    assert len(threads) == 2 and threading.current_thread() not in threads
