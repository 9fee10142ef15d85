"""Diffusions that end early: cancelled, out of time, or left alone by a server that dies."""

import asyncio
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import grpc
import pytest

from concord_client import (
    AsyncClient,
    Cancellation,
    Cancelled,
    Client,
    DeadlineExceeded,
    Harmonize,
    Lost,
    Progress,
    Unavailable,
    losses,
)
from tests.client.kserve import KServe, serve_grpc

IMAGE = b"\xff\xd8 a photograph \x00\x00"
WISH = Harmonize(IMAGE, mask=b"mask")
BUSY = ("UNAVAILABLE", "[busy] request: 8 are being answered")
over_grpc = pytest.mark.parametrize("protocol", ["grpc"], indirect=True)
# Serves one stream of steps, and dies amid them.
MORTAL = """
from tests.client.kserve import KServe, serve_grpc
for kserve in serve_grpc(KServe(stream=[0, 1, "exit"])):
    print(kserve.url, flush=True)
    kserve.left.wait()
"""

# Makes one call of the blocking client, in the main thread, where Ctrl-C arrives.
CALL = """
import signal, sys
from concord_client import Client
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs begin deaf to it
with Client(sys.argv[1]) as client:
    client.harmonize(b"image", mask=b"mask", model="diffharmony")
"""


@over_grpc
@pytest.mark.parametrize("refusal", [BUSY, ("error", BUSY[1])])
@pytest.mark.parametrize(("reported", "calls"), [([], 3), ([0], 3), ([0, 1], 1)])
def test_a_refused_call_is_not_repeated_once_a_step_was_done(diffuse, kserve, reported, calls, refusal):
    kserve.stream = [*reported, refusal]
    seen = []
    with pytest.raises(Unavailable):
        diffuse(kserve, on_step=seen.append)
    assert len(kserve.received) == calls
    assert [progress.step for progress in seen] == reported


@over_grpc
@pytest.mark.parametrize(
    "loss", [("UNAVAILABLE", "Socket closed"), ("error", "Stub process 'diffharmony_0_0' is not healthy.")]
)
def test_a_lost_call_begins_again_from_its_first_step_with_its_seed(ask, kserve, loss, monkeypatch):
    # The fake server never says that it was loaded again.
    monkeypatch.setattr(losses, "_LOOKS", 1)
    seen = []

    def note(told):
        seen.append(told.step if isinstance(told, Progress) else type(told))
        kserve.stream = [0, 1, loss] if seen.count(Lost) < 2 else [0, 1, 2, "picture and final"]

    kserve.stream = [0, 1, loss]
    ask(kserve.url, "run", WISH, model="diffharmony", on_step=note, on_lost=note)
    assert seen == [0, 1, Lost, 0, 1, Lost, 0, 1, 2]
    assert len({inputs["SEED"] for _, inputs, _ in kserve.received}) == 1


@over_grpc
def test_a_stream_whose_model_was_loaded_again_begins_again(ask, kserve):
    """Triton leaves it open for ever."""
    kserve.stream = [0, 1, "hang"]
    lost = []

    def load_again():
        # After the client has looked at it, once for its catalogue and once for this call.
        while kserve.looked.count("diffharmony") < 2:
            time.sleep(0.01)
        kserve.config("diffharmony")["parameters"]["reloads"] = {"string_value": "1"}

    def note_step(progress):
        if progress.step == 1 and not lost:
            threading.Thread(target=load_again).start()

    def note(error):
        lost.append(error)
        kserve.stream = [0, 1, 2, "picture and final"]

    ask(kserve.url, "run", WISH, model="diffharmony", on_step=note_step, on_lost=note)
    assert len(kserve.received) == 2 and len(lost) == 1


@over_grpc
def test_the_deadline_ends_a_stream_and_the_server_sees_it(diffuse, kserve):
    kserve.stream = [0, "hang"]
    with pytest.raises(DeadlineExceeded, match=r"within 2 s"):
        diffuse(kserve, timeout=2)
    assert kserve.left.wait(10)


@over_grpc
def test_a_callback_that_fails_ends_the_stream_with_its_error(diffuse, kserve):
    kserve.stream = [0, 1, "hang"]
    with pytest.raises(ZeroDivisionError):
        diffuse(kserve, on_step=lambda progress: 1 // (1 - progress.step))
    assert kserve.left.wait(10)


def test_a_cancelled_task_cancels_its_stream(grpc_kserve):
    grpc_kserve.stream = [0, 1, "hang"]

    async def cancel():
        async with AsyncClient(grpc_kserve.url) as client:
            begun = asyncio.Event()
            call = client.harmonize(IMAGE, mask=b"mask", model="diffharmony", on_step=lambda _: begun.set())
            task = asyncio.create_task(call)
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await asyncio.to_thread(grpc_kserve.left.wait, 10)

    asyncio.run(cancel())


def test_another_thread_cancels_a_blocking_stream(grpc_kserve):
    grpc_kserve.stream = [0, 1, "hang"]
    cancellation, begun = Cancellation(), threading.Event()
    canceller = threading.Thread(target=lambda: begun.wait(10) and cancellation.cancel())
    canceller.start()
    with Client(grpc_kserve.url) as client, pytest.raises(Cancelled):
        client.harmonize(
            IMAGE, mask=b"mask", model="diffharmony", on_step=lambda _: begun.set(), cancellation=cancellation
        )
    assert grpc_kserve.left.wait(10)
    canceller.join()


def test_the_callback_itself_may_cancel(grpc_kserve):
    grpc_kserve.stream = [0, 1, "hang"]
    cancellation = Cancellation()
    with Client(grpc_kserve.url) as client, pytest.raises(Cancelled):
        client.harmonize(
            IMAGE,
            mask=b"mask",
            model="diffharmony",
            on_step=lambda progress: progress.step and cancellation.cancel(),
            cancellation=cancellation,
        )
    assert grpc_kserve.left.wait(10)


def test_ctrl_c_ends_a_blocking_stream(grpc_kserve):
    grpc_kserve.stream = [0, 1, "hang"]
    command = [sys.executable, "-c", CALL, grpc_kserve.url]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert grpc_kserve.entered.wait(60)
            process.send_signal(signal.SIGINT)
            assert "KeyboardInterrupt" in process.communicate(timeout=60)[1]
        finally:
            process.kill()
    assert grpc_kserve.left.wait(10)


def test_no_code_of_grpc_runs_where_ctrl_c_arrives(grpc_kserve):
    """It would leave a lock taken, if the exception came right behind the taking, and `close` would wait for ever."""
    files = set()
    with Client(grpc_kserve.url) as client:
        client.harmonize(IMAGE, mask=b"mask", model="diffharmony")
        sys.setprofile(lambda frame, *_: files.add(frame.f_code.co_filename))
        try:
            client.harmonize(IMAGE, mask=b"mask", model="diffharmony")
            client.segment(IMAGE, "the red ball")
            client.models()
        finally:
            sys.setprofile(None)
    assert any(file.endswith("grpc_transport.py") for file in files)
    assert not [file for file in files if Path(file).is_relative_to(Path(grpc.__file__).parent)]


def test_when_a_server_dies_amid_the_steps_its_successor_answers():
    with subprocess.Popen([sys.executable, "-c", MORTAL], stdout=subprocess.PIPE, text=True) as server:
        url = server.stdout.readline().strip()
        with Client(url) as client, ThreadPoolExecutor(1) as threads:
            seen: list[Progress] = []
            call = partial(client.harmonize, IMAGE, mask=b"mask", model="diffharmony", on_step=seen.append)
            answer = threads.submit(call)
            server.wait()
            for kserve in serve_grpc(KServe(), url):
                assert answer.result().image == kserve.answers["HARMONIZED"]
            assert [progress.step for progress in seen] == [0, 1, 0, 1, 2]
