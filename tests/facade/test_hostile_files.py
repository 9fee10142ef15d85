"""Files that would keep a reader busy for minutes: each is refused by name, and nobody else waits for it."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import httpx
import numpy as np
import psutil
import pytest
from PIL import Image
from tritonclient.utils import InferenceServerException

from benchmarks.drills import hostile
from tests.facade.running import PATIENCE
from tests.facade.sending import problem
from tests.facade.test_batches import BATCHES, listed, unzipped
from tests.facade.test_edits import EDITS
from tests.serving.asking import ask
from tests.serving.pictures import decoded, encoded, middle, photograph
from tests.serving.stack import serving

HARMONIZE = "/v1/harmonize"
DEAR_SIDE = 2_000
# On an idle machine 20 ms; other processes may have it now, but not for long.
HEALTHY = 3.0


@pytest.fixture(scope="module", params=hostile.REFUSED)
def refused(request) -> bytes:
    return hostile.REFUSED[request.param]()


@pytest.fixture(scope="module")
def dear() -> bytes:
    """A file within the limits of which a decoder has much to do."""
    return hostile.scan_jpeg(100, DEAR_SIDE)


@contextmanager
def healthy(facade) -> Iterator[None]:
    """Asks for the facade's health all the while, and wants each answer at once."""
    waits, done = [], threading.Event()

    def ask_on() -> None:
        with httpx.Client(base_url=facade.url, timeout=PATIENCE) as client:
            while not done.is_set():
                began = time.monotonic()
                assert client.get("/healthz").status_code == 200
                waits.append(time.monotonic() - began)
                done.wait(0.01)

    with ThreadPoolExecutor(1) as thread:
        asking = thread.submit(ask_on)
        try:
            yield
        finally:
            done.set()
        asking.result()
    assert waits and max(waits) < HEALTHY


def test_a_file_that_is_too_dear_is_refused_by_name(facade, http, image, mask, refused):
    with healthy(facade):
        for files, field in (({"image": refused, "mask": mask}, "image"), ({"image": image, "mask": refused}, "mask")):
            status, code, named, allowed = problem(http.post(HARMONIZE, files=files))
            assert (status, code, named) == (413, "too_complex", field)
            assert allowed.startswith("at most ")
        answer = http.post(HARMONIZE, files={"image": refused, "mask": mask}, data={"format": "jpeg"})
        assert problem(answer)[1:3] == ("too_complex", "image")
        answer = http.post(EDITS, files={"image": image, "mask": refused})
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_complex")
        answer = http.post(EDITS, files={"image": refused}, data={"prompt": "the square"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_complex")
        answer = http.post(BATCHES, files=listed({"a.png": image, "b.png": refused}), data={"text": "the square"})
        _, results = unzipped(answer)
        assert [each.get("problem", {}).get("type", "") for each in results["images"]] == [
            "",
            "urn:concord:problem:too_complex",
        ]
    assert http.post(HARMONIZE, files={"image": image, "mask": mask}).status_code == 200


def test_triton_refuses_it_too(server, refused, image, mask):
    for inputs, field in (({"IMAGE": refused, "MASK": mask}, "IMAGE"), ({"IMAGE": image, "MASK": refused}, "MASK")):
        with pytest.raises(InferenceServerException) as caught:
            ask(server, "harmonize_ht", inputs)
        assert f"[too_complex] {field}: too many " in caught.value.message()


def test_files_that_take_long_hold_up_nobody_else(facade, http, image, mask, dear):
    ours = {"image": image, "mask": mask}
    expected = http.post(HARMONIZE, files=ours).content
    white = encoded(Image.new("L", (DEAR_SIDE, DEAR_SIDE), "white"))

    def post(path: str, files: dict[str, bytes], **fields: str) -> httpx.Response:
        with httpx.Client(base_url=facade.url, timeout=4 * PATIENCE) as client:
            return client.post(path, files=files, data=fields)

    answered = threading.Event()

    def post_until_answered(path: str, files: dict[str, bytes], **fields: str) -> list[httpx.Response]:
        responses = [post(path, files, **fields)]
        while not answered.is_set():
            responses.append(post(path, files, **fields))
        return responses

    with ThreadPoolExecutor(8) as threads:
        slow = [
            threads.submit(post_until_answered, HARMONIZE, {"image": dear, "mask": white}, format="jpeg")
            for _ in range(2)
        ]
        masks = [threads.submit(post_until_answered, EDITS, {"image": image, "mask": dear}) for _ in range(6)]
        try:
            with healthy(facade):
                for _ in range(3):
                    answer = http.post(HARMONIZE, files=ours)
                    assert answer.content == expected
                    # Encoding has threads that none of those files can take.
                    assert http.post(HARMONIZE, files=ours, data={"format": "jpeg"}).status_code == 200
        finally:
            answered.set()
        assert {response.status_code for each in slow for response in each.result()} == {200}
        # They are read in the end, and are no masks of this photograph.
        codes = {response.json()["error"]["code"] for each in masks for response in each.result()}
        assert codes == {"invalid_mask"}


def test_a_decoder_that_is_killed_is_a_refusal_and_the_next_file_is_decoded(facade, http, image, mask, monkeypatch):
    tiff = encoded(decoded(image), "TIFF", compression="tiff_lzw")
    with monkeypatch.context() as hurried:
        hurried.setattr("concord.decoding.DECODING_PATIENCE", 0.01)
        answer = http.post(HARMONIZE, files={"image": tiff, "mask": mask})
    assert problem(answer) == (413, "too_complex", "image", "at most 0.01 seconds")
    answer = http.post(HARMONIZE, files={"image": tiff, "mask": mask})
    assert answer.content == http.post(HARMONIZE, files={"image": image, "mask": mask}).content


@pytest.mark.parametrize("model", ["decode", "harmonize_ht"])
def test_triton_decodes_what_takes_long_in_a_process_of_its_own(server, model):
    pixels = photograph(64, 48, 4)
    webp = encoded(pixels, "WEBP", lossless=True, exact=True)
    inputs = {"IMAGE": webp} | ({"MASK": encoded(middle(64, 48))} if model != "decode" else {})
    answer = ask(server, model, inputs)
    if model == "decode":
        assert np.array_equal(answer["PIXELS"][0], pixels)
    else:
        assert decoded(answer["HARMONIZED"].item()).shape == pixels.shape


def test_two_such_files_hold_up_no_diffusion(diffusing_http, diffusing_facade, diffusing, image, mask, dear):
    def ask_triton(_number: int) -> None:
        with pytest.raises(InferenceServerException, match=r"\[invalid_mask\] MASK"):
            ask(diffusing, "diffharmony_once", {"IMAGE": dear, "MASK": mask})

    with ThreadPoolExecutor(4) as threads:
        slow = list(map(threads.submit, [ask_triton] * 4, range(4)))
        fields = {"model": "diffharmony", "steps": "2"}
        answer = diffusing_http.post(HARMONIZE, files={"image": image, "mask": mask}, data=fields)
        assert answer.status_code == 200, answer.text
        assert not all(each.done() for each in slow), "the files were read before anybody could be held up"
        for each in slow:
            each.result()


def test_a_second_signal_ends_the_facade_amid_such_files(server, image, tmp_path):
    file = hostile.scan_jpeg(100)

    def post(url: str) -> None:
        with httpx.Client(base_url=url, timeout=PATIENCE) as client, suppress(httpx.TransportError):
            client.post(EDITS, files={"image": image, "mask": file})

    with serving(tmp_path, "--triton-url", server.grpc_url) as stack, ThreadPoolExecutor(6) as threads:
        url = stack.url
        posting = [threads.submit(post, url) for _ in range(6)]
        deadline = time.monotonic() + PATIENCE
        while not (decoding := stack.descendants()):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        stack.process.terminate()
        stack.wait_for("stopping")
        stack.process.terminate()
        # Six of them take half a minute of a processor.
        stack.process.wait(15)
        assert psutil.wait_procs(decoding, 10)[1] == []
        for each in posting:
            each.result()
