"""The diffusion models answer: progress, previews, seeds, settings, and pixels."""

import io

import numpy as np
import pytest
from PIL import Image

from concord.samplers import SAMPLERS
from concord.server.declared import catalogue
from concord.server.installation import MODEL_REPOSITORIES
from tests.serving.asking import ask, statistics
from tests.serving.pictures import decoded, encoded, middle, photograph, srgb_profile
from tests.serving.streams import stream, wire

[PIPELINE] = (each for each in catalogue(MODEL_REPOSITORIES, missing=()).pipelines if each.name == "diffharmony")
PIXELS, MASK = photograph(120, 90), middle(120, 90)
GIVEN_MASK = {"IMAGE": encoded(PIXELS), "MASK": encoded(MASK), "SEED": 7}
GIVEN_TEXT = {"IMAGE": encoded(PIXELS), "TEXT": b"the red ball", "SEED": 7}
ONCE = ("STEP", "TOTAL", "PREVIEW", "HARMONIZED", "SEED")


def harmonized(server, inputs: dict) -> np.ndarray:
    return decoded(stream(server, inputs)[-1]["HARMONIZED"])


def denoising_steps(server) -> int:
    return statistics(server)["unet"].inference_count


@pytest.mark.parametrize("steps", [1, 5, 50])
def test_every_step_is_reported_and_the_last_response_has_the_picture(diffusing, steps):
    before = denoising_steps(diffusing)
    *progress, last = stream(diffusing, GIVEN_MASK | {"STEPS": steps})
    assert [response["STEP"] for response in progress] == list(range(steps + 1))
    assert {response["TOTAL"] for response in progress} == {steps}
    assert all(set(response) == {"STEP", "TOTAL", "PREVIEW"} for response in progress)
    assert (last["STEP"], last["TOTAL"], last["SEED"]) == (steps, steps, 7)
    assert denoising_steps(diffusing) == before + steps


def test_five_steps_are_made_unless_asked_otherwise(diffusing):
    assert stream(diffusing, GIVEN_MASK)[-1]["TOTAL"] == 5


@pytest.mark.parametrize(("width", "height"), [(1, 1), (33, 65), (640, 20), (500, 333)])
def test_pixels_outside_the_mask_are_untouched(diffusing, width, height):
    pixels, mask = photograph(width, height, channels=4), middle(width, height)
    file = encoded(pixels, icc_profile=srgb_profile())
    last = stream(diffusing, {"IMAGE": file, "MASK": encoded(mask)})[-1]["HARMONIZED"]
    assert Image.open(io.BytesIO(last)).info["icc_profile"] == srgb_profile()
    np.testing.assert_array_equal(decoded(last)[mask == 0], pixels[mask == 0])
    np.testing.assert_array_equal(decoded(last)[..., 3], pixels[..., 3])
    if pixels.size > 4:
        assert (decoded(last)[mask > 0] != pixels[mask > 0]).any()


def test_a_text_finds_the_mask_that_segment_finds_and_gives_its_picture(diffusing):
    found = ask(diffusing, "segment", {name: GIVEN_TEXT[name] for name in ("IMAGE", "TEXT")})
    *_, last = stream(diffusing, GIVEN_TEXT)
    assert last["MASK"] == found["MASK"].item()
    assert last["SCORE"] == pytest.approx(found["SCORE"].item(), abs=1e-5)
    assert last["TRUNCATED"] is False
    given = {"IMAGE": GIVEN_TEXT["IMAGE"], "MASK": last["MASK"], "SEED": 7}
    np.testing.assert_array_equal(harmonized(diffusing, given), decoded(last["HARMONIZED"]))


@pytest.mark.parametrize(("decoder", "network"), [("plain", "vae_decoder"), ("tiny", "tiny_decoder")])
def test_the_surroundings_of_the_mask_are_enough_to_decode(diffusing, decoder, network):
    corner = np.zeros_like(MASK)
    corner[:20, :30] = 255
    asked = GIVEN_MASK | {"MASK": encoded(corner), "DECODER": decoder.encode()}
    before = statistics(diffusing)[network].inference_count
    part, whole = (harmonized(diffusing, asked | {"WINDOW": window}) for window in (True, False))
    assert statistics(diffusing)[network].inference_count == before + 2
    np.testing.assert_array_equal(part[corner == 0], PIXELS[corner == 0])
    np.testing.assert_allclose(part.astype(int), whole.astype(int), atol=8)


def test_previews_show_the_estimate_of_each_step_in_the_picture_s_aspect(diffusing):
    progress = stream(diffusing, GIVEN_MASK | {"PREVIEW": True})[:-1]
    assert progress[0]["PREVIEW"] == b""
    previews = [Image.open(io.BytesIO(response["PREVIEW"])) for response in progress[1:]]
    assert all((preview.format, preview.size) == ("JPEG", (64, 48)) for preview in previews)
    assert len({response["PREVIEW"] for response in progress[1:]}) == 5


def test_previews_change_nothing_and_are_left_out_unless_asked_for(diffusing):
    shown, plain = stream(diffusing, GIVEN_MASK | {"PREVIEW": True}), stream(diffusing, GIVEN_MASK)
    assert {response["PREVIEW"] for response in plain} == {b""}
    assert shown[-1]["HARMONIZED"] == plain[-1]["HARMONIZED"]


def test_a_seed_gives_its_picture_again_and_another_gives_another(diffusing):
    first, second, other = (harmonized(diffusing, GIVEN_MASK | {"SEED": seed}) for seed in (0, 0, 2**63 - 1))
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()


def test_a_seed_that_was_drawn_is_told_and_gives_the_picture_again(diffusing):
    unseeded = {name: GIVEN_MASK[name] for name in ("IMAGE", "MASK")}
    first, second = (stream(diffusing, unseeded)[-1] for _ in range(2))
    assert first["SEED"] != second["SEED"]
    again = stream(diffusing, unseeded | {"SEED": first["SEED"]})[-1]
    assert again["HARMONIZED"] == first["HARMONIZED"]


def test_every_setting_changes_the_picture(diffusing):
    settings = [
        {},
        *({"SAMPLER": sampler.encode()} for sampler in SAMPLERS if sampler != "euler_ancestral"),
        {"STEPS": 3},
        *({"DECODER": decoder} for decoder in (b"harmony", b"tiny", b"linear")),
        {"ENCODER": b"tiny"},
        {"ENCODER": b"tiny", "DECODER": b"tiny"},
        {"REFINE": True},
        {"RESOLUTION": 512},
    ]
    pictures = [harmonized(diffusing, GIVEN_MASK | setting).tobytes() for setting in settings]
    assert len(set(pictures)) == len(settings)


@pytest.mark.parametrize("resolution", PIPELINE.settings["RESOLUTION"].choices)
def test_every_resolution_is_served(diffusing, resolution):
    answer = stream(
        diffusing, GIVEN_MASK | {"RESOLUTION": resolution, "STEPS": 1, "DECODER": b"harmony", "REFINE": True}
    )
    assert decoded(answer[-1]["HARMONIZED"]).shape == PIXELS.shape


def test_a_black_mask_returns_the_picture_unchanged_without_a_denoising_step(diffusing):
    before = denoising_steps(diffusing)
    responses = stream(diffusing, GIVEN_MASK | {"MASK": encoded(np.zeros_like(MASK))})
    assert [response["STEP"] for response in responses] == [0, 5]
    np.testing.assert_array_equal(decoded(responses[-1]["HARMONIZED"]), PIXELS)
    assert denoising_steps(diffusing) == before


@pytest.mark.parametrize("protocol", ["grpc", "http"])
@pytest.mark.parametrize("inputs", [GIVEN_MASK, GIVEN_TEXT], ids=["mask", "text"])
def test_once_answers_as_the_stream_ends(diffusing, protocol, inputs):
    *_, last = stream(diffusing, inputs)
    answer = ask(diffusing, "diffharmony_once", wire(inputs), protocol)
    assert {name: tensor.item() for name, tensor in answer.items()} == last
    assert all(tensor.shape == (1, 1) for tensor in answer.values())
