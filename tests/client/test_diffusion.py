"""What both clients promise of a model that works in steps."""

import threading

import numpy as np
import pytest

from concord_client import (
    Cancelled,
    Client,
    DeadlineExceeded,
    Diffusion,
    InvalidInput,
    ModelNotFound,
    Progress,
    ServerError,
)
from concord_client.steps import Steps

IMAGE = b"\xff\xd8 a photograph"
BUSY = ("UNAVAILABLE", "[busy] request: 8 are being answered")
STEPS = [Progress(0, 2), Progress(1, 2), Progress(2, 2)]
over_grpc = pytest.mark.parametrize("protocol", ["grpc"], indirect=True)


def test_a_diffusion_asks_for_its_model_with_the_time_left(diffuse, kserve, protocol):
    answer = diffuse(kserve, mask=None, text="der Bär", timeout=7.0)
    ((model, inputs, outputs),) = kserve.received
    assert 0 < inputs.pop("TIMEOUT") <= 7
    # Drawn by the client, so that a request that is made again has the same.
    assert 0 <= inputs.pop("SEED") < 2**63
    assert inputs == {"IMAGE": IMAGE, "TEXT": "der Bär".encode()}
    tensors = ["HARMONIZED", "MASK", "SCORE", "TRUNCATED", "SEED"]
    if protocol == "grpc":
        assert (model, outputs) == ("diffharmony", ["STEP", "TOTAL", *tensors])
    else:
        assert (model, outputs) == ("diffharmony_once", tensors)
    assert (answer.image, answer.mask) == (kserve.answers["HARMONIZED"], kserve.answers["MASK"])
    assert (answer.score, answer.truncated, answer.seed) == (0.75, False, 2**62 + 1)


def test_headers_go_along_with_a_diffusion(diffuse, kserve):
    diffuse(kserve, headers={"tracestate": "vendor=1"})
    assert kserve.headers["tracestate"] == "vendor=1"


def test_only_what_is_set_is_sent(diffuse, kserve):
    diffuse(kserve)
    diffuse(kserve, diffusion=Diffusion())
    diffuse(kserve, diffusion=Diffusion(seed=0, refine=False))
    sent = [{name: value for name, value in inputs.items() if name != "TIMEOUT"} for _, inputs, _ in kserve.received]
    assert sent[0].pop("SEED") != sent[1].pop("SEED")
    given = {"IMAGE": IMAGE, "MASK": b"mask"}
    assert sent == [given, given, given | {"SEED": 0, "REFINE": False}]


def test_settings_arrive_with_the_types_the_server_wants(diffuse, kserve, protocol):
    diffusion = Diffusion(2**63 - 1, 50, "ddim", 256, preview=True, decoder="harmony", refine=True)
    diffuse(kserve, diffusion=diffusion)
    sent = {"SEED": 2**63 - 1, "STEPS": 50, "SAMPLER": b"ddim", "RESOLUTION": 256, "DECODER": b"harmony"}
    sent |= {"PREVIEW": True} if protocol == "grpc" else {}
    assert kserve.received[0][1].items() >= (sent | {"REFINE": True}).items()


def test_without_a_timeout_a_diffusion_has_ten_minutes(diffuse, kserve):
    diffuse(kserve)
    assert 590 < kserve.received[0][1]["TIMEOUT"] <= 600


@pytest.mark.parametrize("setting", [{"seed": 2**63}, {"steps": 2**31}, {"resolution": -(2**40)}, {"steps": 2.5}])
def test_a_number_that_no_tensor_holds_is_refused_by_name(diffuse, kserve, setting):
    [name] = setting
    with pytest.raises(InvalidInput) as refusal:
        diffuse(kserve, diffusion=Diffusion(**setting))
    assert (refusal.value.code, refusal.value.field) == ("invalid_setting", name.upper())
    assert refusal.value.allowed.startswith("a whole number from ") or name == "resolution"
    assert kserve.received == []


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"diffusion": Diffusion(steps=3)}, InvalidInput, r"STEPS: ht has no such .* allowed: model=diffharmony"),
        ({"on_step": print}, ValueError, r"on_step is for a model with steps; ht has none"),
        ({"model": "sd"}, ModelNotFound, "'sd'; it has ht, diffharmony"),
        ({"mask": None}, ValueError, "either a text or a mask"),
        ({"text": "bear"}, ValueError, "either a text or a mask"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_is_sent(ask, kserve, options, kind, words):
    with pytest.raises(kind, match=words):
        ask(kserve.url, "harmonize", IMAGE, **{"mask": b"mask"} | options)
    assert kserve.received == []


def test_every_step_is_reported_once_where_there_are_streams(diffuse, kserve, protocol):
    seen = []
    diffuse(kserve, on_step=seen.append)
    assert seen == (STEPS if protocol == "grpc" else [])


@over_grpc
def test_previews_come_with_the_steps_when_asked_for(diffuse, kserve):
    seen = []
    diffuse(kserve, diffusion=Diffusion(preview=True), on_step=seen.append)
    assert seen == [Progress(0, 2, b"jpeg 0"), Progress(1, 2, b"jpeg 1"), Progress(2, 2, b"jpeg 2")]


@over_grpc
@pytest.mark.parametrize("end", [["picture", "final"], ["picture"], ["picture and final", ("INTERNAL", "too late")]])
def test_the_picture_counts_however_the_stream_ends(diffuse, kserve, end):
    kserve.stream = [0, 1, 2, *end]
    assert diffuse(kserve).image == kserve.answers["HARMONIZED"]


@over_grpc
@pytest.mark.parametrize("stream", [[], ["final"], [0, 1, "final"], [0, 1]])
def test_a_stream_without_the_picture_is_the_servers_failure(diffuse, kserve, stream):
    kserve.stream = stream
    with pytest.raises(ServerError, match="before the last"):
        diffuse(kserve)
    assert len(kserve.received) == 1


@over_grpc
@pytest.mark.parametrize("form", ["error", "INTERNAL"], ids=["in the stream", "as status"])
@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("[invalid_setting] STEPS: is 51; allowed: a whole number from 1 to 50", InvalidInput),
        ("[not_finite] unet: NaN at step 2", ServerError),
        ("[deadline_exceeded] TIMEOUT: 7 seconds are over", DeadlineExceeded),
        ("[cancelled] request: was given up", Cancelled),
        ("the model failed", ServerError),
        ("Request for unknown model: 'diffharmony' is not found", ModelNotFound),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_error_amid_the_steps_is_typed(diffuse, kserve, form, message, kind):
    kserve.stream = [0, 1, (form, message)]
    with pytest.raises(kind):
        diffuse(kserve)
    assert len(kserve.received) == 1


def test_a_busy_server_is_asked_again(diffuse, kserve):
    kserve.script = [BUSY, BUSY]
    assert diffuse(kserve).seed == 2**62 + 1
    assert len(kserve.received) == 3


def test_an_unknown_model_is_not_found(diffuse, kserve):
    kserve.script = [("NOT_FOUND", "Request for unknown model: 'diffharmony' is not found")]
    with pytest.raises(ModelNotFound):
        diffuse(kserve)


def test_streams_of_many_threads_do_not_mix(grpc_kserve):
    seen = [[] for _ in range(6)]
    with Client(grpc_kserve.url) as client:

        def diffuse(steps):
            client.harmonize(IMAGE, mask=b"mask", model="diffharmony", on_step=steps.append)

        threads = [threading.Thread(target=diffuse, args=(steps,)) for steps in seen]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert seen == [STEPS] * 6


def test_an_answer_without_tensors_says_nothing():
    steps = Steps(["HARMONIZED"])
    steps.receive({})
    assert not steps.begun
    steps.receive({"STEP": np.array([[1]]), "TOTAL": np.array([[5]])})
    assert steps.begun
