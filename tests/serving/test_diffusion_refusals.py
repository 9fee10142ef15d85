"""What a diffusion model says to a bad request: what was wrong and what is allowed, before anything is computed."""

import math
import re

import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from concord.errors import ServerFailure
from concord.instruments.timing import settled
from concord.samplers import SAMPLERS
from concord.server.embedded import EmbeddedServer, Ports
from concord_client import Client
from tests.serving.asking import ask, statistics
from tests.serving.pictures import encoded, middle, photograph
from tests.serving.streams import stream, wire
from tests.serving.tiny_networks import OPEN, write_loops, write_networks

GOOD = {"IMAGE": encoded(photograph(64, 48)), "MASK": encoded(middle(64, 48)), "SEED": 1}
MISSING = object()
GATES = dict(zip(OPEN, ("not made", "failed: 8 scenes 21.0 dB, +30.0%", "not made"), strict=True))
BAD = {
    "no steps": ({"STEPS": 0}, "[invalid_setting] STEPS: is 0; allowed: a whole number from 1 to 50"),
    "too many steps": ({"STEPS": 51}, "[invalid_setting] STEPS: is 51; allowed: a whole number from 1 to 50"),
    "negative steps": ({"STEPS": -5}, "[invalid_setting] STEPS: is -5; allowed: "),
    "unknown sampler": (
        {"SAMPLER": b"magic"},
        f"[invalid_setting] SAMPLER: is 'magic'; allowed: {', '.join(SAMPLERS)}",
    ),
    "sampler of no UTF-8": ({"SAMPLER": b"\xff\xfe"}, "[invalid_setting] SAMPLER: is "),
    "odd resolution": ({"RESOLUTION": 300}, "[invalid_setting] RESOLUTION: is 300; allowed: 256, 512, 768, 1024"),
    "huge resolution": ({"RESOLUTION": 2048}, "[invalid_setting] RESOLUTION: is 2048; allowed: 256"),
    "negative seed": (
        {"SEED": -1},
        "[invalid_setting] SEED: is -1; allowed: a whole number from 0 to 9223372036854775807",
    ),
    "unknown decoder": ({"DECODER": b"fancy"}, "[invalid_setting] DECODER: is 'fancy'; allowed: plain, harmony, tiny"),
    "no time": ({"TIMEOUT": 0.0}, "[invalid_setting] TIMEOUT: is 0; allowed: seconds, more than 0 and at most 86400"),
    "time that is no number": ({"TIMEOUT": math.nan}, "[invalid_setting] TIMEOUT: is nan; allowed: "),
    "endless time": ({"TIMEOUT": math.inf}, "[invalid_setting] TIMEOUT: is inf; allowed: "),
    "mask and text": ({"TEXT": b"the ball"}, "both MASK and TEXT are given; allowed: exactly one of MASK and TEXT"),
    "neither mask nor text": (
        {"MASK": MISSING},
        "neither MASK nor TEXT is given; allowed: exactly one of MASK and TEXT",
    ),
    "no image": ({"IMAGE": b"hello"}, "[invalid_image] IMAGE: not a readable image; allowed: "),
    "empty image": ({"IMAGE": b""}, "[invalid_image] IMAGE: empty; allowed: "),
    "mask of another size": ({"MASK": encoded(middle(64, 96))}, "[invalid_mask] MASK: 64x96 pixels; allowed: "),
    "empty text": ({"MASK": MISSING, "TEXT": b"  "}, "[invalid_text] TEXT: "),
    "text of no UTF-8": ({"MASK": MISSING, "TEXT": b"caf\xe9"}, "[invalid_text] TEXT: "),
}


def changed(inputs: dict) -> dict:
    return {name: value for name, value in (GOOD | inputs).items() if value is not MISSING}


@pytest.mark.parametrize("way", ["stream", "grpc", "http"])
@pytest.mark.parametrize("case", BAD)
def test_a_bad_request_is_named_and_costs_no_step(diffusing, way, case):
    inputs, expected = BAD[case]
    # Triton counts a run after it has answered, and the test before this one ends with a run.
    before = settled(lambda: statistics(diffusing)["unet"].inference_count, still=0.1)
    with pytest.raises(InferenceServerException) as caught:
        if way == "stream":
            stream(diffusing, changed(inputs))
        else:
            ask(diffusing, "diffharmony_once", wire(changed(inputs)), way)
    message = caught.value.message()
    assert expected in message
    assert ".py" not in message and "Traceback" not in message
    if way == "grpc":
        assert caught.value.status() == "StatusCode.INVALID_ARGUMENT"
    assert statistics(diffusing)["unet"].inference_count == before
    assert stream(diffusing, GOOD | {"STEPS": 1})[-1]["HARMONIZED"]


def test_two_samples_in_one_request_are_refused_by_name(diffusing):
    twice = {name: np.array([[value]] * 2, object) for name, value in GOOD.items() if isinstance(value, bytes)}
    with pytest.raises(InferenceServerException, match=r"IMAGE: has the shape \[2, 1\]; allowed: \[1, 1\]"):
        ask(diffusing, "diffharmony_once", twice)


@pytest.mark.parametrize(
    ("setting", "model"),
    [
        ({"DECODER": b"harmony"}, "harmony_vae"),
        ({"DECODER": b"tiny"}, "tiny_decoder"),
        ({"DECODER": b"linear"}, "latent_preview"),
        ({"ENCODER": b"tiny"}, "tiny_encoder"),
        ({"REFINE": True}, "refinement"),
        ({"PREVIEW": True}, "latent_preview"),
    ],
)
def test_a_setting_whose_network_the_server_lacks_is_refused(bare, setting, model):
    with pytest.raises(InferenceServerException) as caught:
        stream(bare, GOOD | setting)
    [name] = setting
    expected = f"[invalid_setting] {name}: needs the model '{model}', which this server does not have"
    assert expected in caught.value.message()
    assert stream(bare, GOOD)[-1]["HARMONIZED"]


@pytest.mark.parametrize(
    ("role", "setting"),
    [
        ("tiny_encoder", {"ENCODER": b"tiny"}),
        ("tiny_decoder", {"DECODER": b"tiny"}),
        ("linear_decoder", {"DECODER": b"linear"}),
    ],
)
@pytest.mark.parametrize("way", ["stream", "http"])
def test_a_part_that_has_not_passed_its_gate_is_refused_and_the_refusal_says_how_to_ask_it(gated, role, setting, way):
    model = "latent_preview" if role == "linear_decoder" else role
    with pytest.raises(InferenceServerException) as caught:
        if way == "stream":
            stream(gated, GOOD | setting)
        else:
            ask(gated, "diffharmony_once", wire(GOOD | setting), way)
    [(name, value)] = setting.items()
    assert caught.value.message().endswith(
        f"[invalid_setting] {name}: is '{value.decode()}'; its model '{model}' has not passed the gate of this "
        f"pipeline ({GATES[f'gate.{role}']}); on the server, `python -m export judge {model}` asks the gate again; "
        f"allowed: another {name}"
    )
    assert stream(gated, GOOD)[-1]["HARMONIZED"]


def test_a_server_offers_only_what_has_passed_its_gate(gated):
    with Client(gated.grpc_url) as client:
        [pipeline] = (each for each in client.catalogue().pipelines if each.streams)
    assert pipeline.settings["ENCODER"].choices == ("plain",)
    assert pipeline.settings["DECODER"].choices == ("plain", "harmony")


def test_a_text_where_nothing_segments_is_refused(bare):
    with pytest.raises(InferenceServerException, match="TEXT: needs the model 'segment', which this server does not"):
        stream(bare, {"IMAGE": GOOD["IMAGE"], "TEXT": b"the ball"})


@pytest.mark.parametrize(
    ("parameter", "value", "allowed"),
    [
        ("setting.RESOLUTION", "300; 256|512; side", "256, 512"),
        ("setting.STEPS", "5; from 1 to 50; steps", "DEFAULT; LOWEST..HIGHEST; WORDS"),
        ("deadline_seconds", "soon", "a number from 1"),
        ("task", "", "a name of letters"),
    ],
)
def test_a_declaration_that_cannot_be_read_is_named_at_the_start(tmp_path, parameter, value, allowed):
    write_loops(tmp_path, **{parameter: value})
    expected = rf"diffharmony(_once)?/config\.pbtxt: {re.escape(parameter)}: .*; allowed: {allowed}"
    with pytest.raises(ServerFailure, match=expected):
        EmbeddedServer([tmp_path], ports=Ports(0, 0, 0)).start()


def test_too_few_jobs_are_named_at_the_start(tmp_path):
    write_networks(tmp_path, "vae_encoder", "unet", "vae_decoder")
    write_loops(tmp_path, max_jobs=0)
    with pytest.raises(ServerFailure, match=r"\[invalid_parameter\] max_jobs: is '?0'?; allowed: "):
        EmbeddedServer([tmp_path], ports=Ports(0, 0, 0)).start()


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """A server with nothing but the networks that every request needs."""
    repository = tmp_path_factory.mktemp("models")
    write_networks(repository, "vae_encoder", "unet", "vae_decoder")
    write_loops(repository, **OPEN)
    with EmbeddedServer([repository], ports=Ports(0, 0, 0)) as running:
        yield running


@pytest.fixture(scope="module")
def gated(tmp_path_factory):
    """A server that has every network, some of which have not passed their gates."""
    repository = tmp_path_factory.mktemp("gated")
    write_networks(repository)
    write_loops(repository, **GATES)
    with EmbeddedServer([repository], ports=Ports(0, 0, 0)) as running:
        yield running
