"""The task `upscale` through the real server, and over HTTP."""

import io
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import onnx
import pytest
from PIL import Image
from tritonclient.utils import InferenceServerException

from concord.loops.ldm_sr import BATCH
from concord.server.embedded import EmbeddedServer, Ports
from concord.server.installation import MODEL_REPOSITORIES
from concord_client import Client, Upscale
from facade.settings import Settings
from tests.facade.running import PATIENCE, running
from tests.facade.sending import problem
from tests.serving.asking import ask, statistics, together
from tests.serving.enlarging_networks import ldm_sr_decoder, ldm_sr_unet
from tests.serving.pictures import decoded, encoded, photograph, srgb_profile
from tests.serving.streams import Stream, stream
from tests.serving.tiny_networks import write_loops

PIPELINE, ONCE, UNET = "ldm_sr", "ldm_sr_once", "ldm_sr_unet"
NETWORKS = {UNET: ldm_sr_unet, "ldm_sr_decoder": ldm_sr_decoder}
GOOD = {"IMAGE": encoded(photograph(33, 20)), "STEPS": 3, "SEED": 7}
LARGE = {"IMAGE": encoded(photograph(200, 150)), "STEPS": 2, "SEED": 7}
"""Of three windows across and two down."""
UPRIGHT = 6
"""EXIF orientation of a photograph that was taken with the camera on its side."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    repository = tmp_path_factory.mktemp("models")
    for name, network in NETWORKS.items():
        (repository / name / "1").mkdir(parents=True)
        (repository / name / "config.pbtxt").symlink_to(MODEL_REPOSITORIES[0] / name / "config.pbtxt")
        onnx.save(network(), repository / name / "1" / "model.onnx")
    write_loops(repository, PIPELINE)
    with EmbeddedServer([repository], ports=Ports(0, 0, 0)) as running_server:
        yield running_server


def asked(server: EmbeddedServer) -> int:
    """How many inferences of the UNet there were."""
    return int(statistics(server)[UNET].inference_count)


def upscaled(server: EmbeddedServer, **given: Any) -> bytes:
    return stream(server, GOOD | given, PIPELINE)[-1]["UPSCALED"]


@pytest.mark.parametrize("channels", [3, 4], ids=["RGB", "RGBA"])
@pytest.mark.parametrize("size", [(1, 1), (33, 20), (130, 40), (200, 150)], ids=str)
def test_the_answer_is_exactly_four_times_as_wide_and_as_high(server, size, channels) -> None:
    pixels = photograph(*size, channels)
    answer = decoded(upscaled(server, IMAGE=encoded(pixels), STEPS=1))
    assert answer.shape == (4 * size[1], 4 * size[0], channels)
    if channels == 4 and min(size) > 1:
        small = np.asarray(Image.fromarray(answer[..., 3]).resize(size, Image.Resampling.BOX))
        assert np.abs(small.astype(int) - pixels[..., 3]).mean() < 3


def test_it_shows_the_photograph(server) -> None:
    pixels = photograph(200, 150)
    answer = Image.fromarray(decoded(stream(server, LARGE | {"STEPS": 20}, PIPELINE)[-1]["UPSCALED"]))
    small = np.asarray(answer.resize((200, 150), Image.Resampling.BOX))
    assert np.corrcoef(small.ravel(), pixels.ravel())[0, 1] > 0.8


def test_progress_counts_the_steps_of_every_window_and_its_decoding(server) -> None:
    *steps, last = stream(server, LARGE, PIPELINE)
    windows = 3 * 2
    assert {each["TOTAL"] for each in (*steps, last)} == {windows * (2 + 1)}
    counted = [each["STEP"] for each in steps]
    assert counted == sorted(counted) and counted[0] == 0 and counted[-1] == last["STEP"] == windows * (2 + 1)
    assert len(counted) == 1 + 2 * -(-windows // BATCH) + windows


def test_a_seed_is_in_the_answer_and_gives_it_again(server) -> None:
    drawn = stream(server, {key: value for key, value in GOOD.items() if key != "SEED"}, PIPELINE)[-1]
    assert upscaled(server, SEED=drawn["SEED"]) == drawn["UPSCALED"] != upscaled(server, SEED=drawn["SEED"] ^ 1)


def test_without_a_stream_it_is_the_same_picture(server) -> None:
    given = {"STEPS": np.array([[3]], np.int32), "SEED": np.array([[7]], np.int64)}
    once = ask(server, ONCE, {"IMAGE": GOOD["IMAGE"], **given})
    assert once["UPSCALED"].item() == upscaled(server) and once["SEED"].item() == 7
    assert once["STEP"].item() == once["TOTAL"].item() == 3 + 1


def test_orientation_is_applied_and_the_profile_is_kept(server) -> None:
    exif = Image.Exif()
    exif[0x0112] = UPRIGHT
    taken = encoded(photograph(40, 24), "JPEG", exif=exif, icc_profile=srgb_profile())
    answer = Image.open(io.BytesIO(upscaled(server, IMAGE=taken)))
    assert answer.size == (4 * 24, 4 * 40) and answer.info["icc_profile"] == srgb_profile()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"IMAGE": encoded(Image.new("RGB", (1700, 1500)))},
            "[image_too_large] IMAGE: 1700x1500 pixels, of which an answer of 6800x6000 would be made; "
            "allowed: at most 2500000 pixels",
        ),
        ({"IMAGE": b""}, "[invalid_image] IMAGE: empty"),
        ({"IMAGE": b"no picture"}, "[invalid_image] IMAGE: not a readable image"),
        ({"SEED": -1}, "[invalid_setting] SEED: is -1"),
        ({"STEPS": 0}, "[invalid_setting] STEPS: is 0; allowed: a whole number from 1 to 200"),
    ],
    ids=["too large an answer", "no file", "no picture", "seed", "steps"],
)
def test_a_bad_request_is_refused_before_any_work(server, given, words) -> None:
    before = asked(server)
    with pytest.raises(InferenceServerException) as refused:
        upscaled(server, **given)
    assert words in str(refused.value) and asked(server) == before


def test_requests_and_windows_share_the_batches_of_their_steps(server) -> None:
    """The best of a few attempts, since a busy machine can keep requests apart."""
    measured: dict[str, list[float]] = {"windows": [], "requests": []}
    for name, count, given in (("windows", 1, LARGE), ("requests", 4, GOOD | {"STEPS": 10})):
        while len(measured[name]) < 5 and max(measured[name], default=0.0) <= 1.5:
            before = statistics(server)[UNET]
            together(count, lambda seed, given=given: stream(server, given | {"SEED": seed}, PIPELINE))
            after = statistics(server)[UNET]
            runs = after.execution_count - before.execution_count
            measured[name].append((after.inference_count - before.inference_count) / runs)
    assert all(max(found) > 1.5 for found in measured.values())


def test_it_stops_within_a_call_when_it_is_cancelled(server) -> None:
    before = asked(server)
    with Stream(server, LARGE | {"STEPS": 200}, PIPELINE) as responses:
        for response in responses:
            if response["STEP"] >= 2 * BATCH:
                break
    upscaled(server)
    assert asked(server) - before < 200 * 6 / 2


def test_the_client_and_http_take_it_by_its_fields(server) -> None:
    with Client(server.grpc_url) as client:
        answer = client.run(Upscale(GOOD["IMAGE"]), model=PIPELINE, settings={"seed": 7, "steps": 3})
    assert answer.seed == 7 and answer.image == upscaled(server)
    with (
        running(Settings(triton_url=server.grpc_url, page=False)) as facade,
        httpx.Client(base_url=facade.url, timeout=PATIENCE) as http,
    ):
        files = {"image": GOOD["IMAGE"]}
        found = http.post("/v1/upscale", files=files, data={"seed": "7", "steps": "3"})
        large = http.post("/v1/upscale", files={"image": encoded(Image.new("RGB", (1700, 1500)))})
        refused = http.post("/v1/upscale", files=files, data={"seed": "no"})
    assert (found.status_code, found.headers["x-concord-model"]) == (200, PIPELINE)
    assert found.content == answer.image and found.headers["x-concord-seed"] == "7"
    assert problem(large)[:3] == (413, "image_too_large", "image")
    assert problem(refused)[:3] == (400, "invalid_setting", "seed")
