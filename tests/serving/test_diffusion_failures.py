"""Diffusion requests that end early: given up, out of time, or failed by a network or a dead process."""

import threading
import time
from collections.abc import Callable

import numpy as np
import pytest
import tritonclient.grpc
from tritonclient.utils import InferenceServerException

from concord.server.embedded import EmbeddedServer, Ports
from concord.server.watchdog import Watchdog
from tests.serving.asking import ask, statistics, tensors
from tests.serving.pictures import decoded, encoded, middle, photograph
from tests.serving.stack import stub_of
from tests.serving.streams import Stream, stream, wire
from tests.serving.tiny_networks import unet, vae_decoder, vae_encoder, write_loops, write_networks

PIXELS = photograph(96, 72)
GOOD = {"IMAGE": encoded(PIXELS), "MASK": encoded(middle(96, 72)), "SEED": 1}
LONG = GOOD | {"STEPS": 50}
PATIENCE = 60


def denoising_steps(server) -> int:
    return statistics(server)["unet"].inference_count


def ended_requests(server, model: str = "diffharmony") -> int:
    """Requests whose final flag has been sent."""
    ended = statistics(server)[model].inference_stats
    return ended.success.count + ended.fail.count


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline


def refusal(server, inputs: dict) -> str:
    with pytest.raises(InferenceServerException) as caught:
        stream(server, inputs)
    return caught.value.message()


@pytest.mark.parametrize("cancelled_after", [0, 3])
def test_a_cancelled_request_stops_within_one_step(diffusing, cancelled_after):
    steps, ended = denoising_steps(diffusing), ended_requests(diffusing)
    with Stream(diffusing, LONG) as responses:
        for response in responses:
            if response["STEP"] == cancelled_after:
                break
        # More steps may have been made before this one's response arrived here.
        made = denoising_steps(diffusing) - steps
    # As long again: a request that went on would make steps all the while.
    assert stream(diffusing, LONG)[-1]["HARMONIZED"]
    assert cancelled_after <= made < 45
    assert denoising_steps(diffusing) - steps <= made + 2 + 50
    wait_until(lambda: ended_requests(diffusing) >= ended + 2)


def test_a_cancelled_request_to_once_stops_too(diffusing):
    steps = denoising_steps(diffusing)
    with tritonclient.grpc.InferenceServerClient(diffusing.grpc_url) as client:
        outcome = threading.Event()
        call = client.async_infer("diffharmony_once", tensors(wire(LONG)), lambda result, error: outcome.set())
        wait_until(lambda: denoising_steps(diffusing) > steps)
        call.cancel()
        assert outcome.wait(PATIENCE)
    # Answered only when the one before it has ended.
    ask(diffusing, "diffharmony_once", wire(GOOD))
    assert denoising_steps(diffusing) - steps < 50 + 5


def test_a_request_that_is_out_of_time_says_how_far_it_came(diffusing):
    message = refusal(diffusing, LONG | {"TIMEOUT": 0.2, "RESOLUTION": 512})
    assert "[deadline_exceeded] TIMEOUT: not answered within 0.2 s, after " in message
    assert " of 50 steps; allowed: a longer TIMEOUT, fewer STEPS or a smaller RESOLUTION" in message
    assert stream(diffusing, GOOD)[-1]["HARMONIZED"]


def test_time_runs_out_for_one_request_alone(diffusing):
    with Stream(diffusing, LONG) as patient:
        first = next(iter(patient))
        assert "deadline_exceeded" in refusal(diffusing, LONG | {"TIMEOUT": 0.05})
        assert first["STEP"] == 0 and list(patient)[-1]["HARMONIZED"]


BROKEN = {
    "encoder": ({"vae_encoder": vae_encoder(broken=True)}, "vae_encoder", "encoding the composite", 0),
    "denoiser": ({"unet": unet(overflow_below=300)}, "unet", "step 4 of 5", 3),
    "decoder": ({"vae_decoder": vae_decoder(broken=True)}, "vae_decoder", "decoding", 5),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_network_that_gives_no_number_is_named_and_no_picture_is_sent(tmp_path, broken):
    networks, name, doing, reported = BROKEN[broken]
    write_networks(tmp_path, "vae_encoder", "unet", "vae_decoder", **networks)
    write_loops(tmp_path)
    with EmbeddedServer([tmp_path], ports=Ports(0, 0, 0)) as server:
        responses = []
        with Stream(server, GOOD) as answers, pytest.raises(InferenceServerException) as caught:
            responses.extend(answers)
        assert responses[-1]["STEP"] == reported
        assert caught.value.message() == f"[not_finite] {name}: the network's output is not finite at {doing}"
        assert all("HARMONIZED" not in response for response in responses)
        with pytest.raises(InferenceServerException, match=r"\[not_finite\]"):
            ask(server, "diffharmony_once", wire(GOOD))
        black = stream(server, GOOD | {"MASK": encoded(np.zeros(PIXELS.shape[:2], np.uint8))})
        np.testing.assert_array_equal(decoded(black[-1]["HARMONIZED"]), PIXELS)


@pytest.fixture
def watched(tmp_path):
    """A server of its own, under a watchdog."""
    write_networks(tmp_path, unet=unet(layers=6))
    write_loops(tmp_path)
    with EmbeddedServer([tmp_path], ports=Ports(0, 0, 0)) as server:
        stop, said = threading.Event(), []
        watchdog = Watchdog(server, interval=0.5, notify=said.append)
        watching = threading.Thread(target=watchdog.watch, args=[stop])
        watching.start()
        try:
            yield server, said
        finally:
            stop.set()
            watching.join()


def killed_amid_its_steps(server, model: str) -> list[dict]:
    responses = []
    with Stream(server, LONG) as stream:
        for response in stream:
            responses.append(response)
            if response["STEP"] == 2:
                stub_of(model, server.processes()).kill()
    return responses


def test_a_stream_goes_on_when_a_network_of_it_dies(watched):
    server, said = watched
    try:
        responses = killed_amid_its_steps(server, "unet")
    except InferenceServerException:
        # Now and then Triton ends with a stub.
        wait_until(lambda: "the server is ready again" in said)
        responses = killed_amid_its_steps(server, "unet")
    assert [response["STEP"] for response in responses] == [*range(51), 50]
    assert "model 'unet' is ready again" in said
    assert responses[-1]["HARMONIZED"] == stream(server, LONG)[-1]["HARMONIZED"]


def test_when_a_loop_dies_in_mid_stream_the_next_request_works(watched):
    server, said = watched
    with Stream(server, LONG) as responses:
        assert next(iter(responses))["STEP"] == 0
        stub_of("diffharmony", server.processes()).kill()
        wait_until(lambda: any("ready again" in words for words in said))
        # Now and then Triton ends with a stub that was sending responses.
        problems = ("the process of model 'diffharmony' is dead", "the server's process has ended")
        assert any(words.startswith(problems) for words in said), said
        assert stream(server, GOOD)[-1]["HARMONIZED"]


def test_the_watchdog_leaves_a_server_alone_that_is_at_work(watched):
    server, said = watched
    assert stream(server, LONG)[-1]["HARMONIZED"]
    ask(server, "diffharmony_once", wire(LONG))
    assert not said
