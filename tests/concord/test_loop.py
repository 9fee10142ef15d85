"""What a loop inherits: checked requests, steps and their progress, blending, a deadline and a seed."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from concord.errors import DeadlineExceeded, InvalidSetting, NotFinite
from concord.limits import Limits
from concord.loops.host import Sample
from concord.loops.latent import Guidance, denoise
from concord.loops.loop import Loop
from concord.loops.request import LoopRequest
from concord.noise import SeededNoise
from concord.samplers import SAMPLERS, make_sampler
from concord_client.catalogue import Pipeline

SHAPE = (4, 6, 5)
PIPELINE = Pipeline.of(
    {
        "name": "dream_stream",
        "input": [
            {"name": "IMAGE", "data_type": "TYPE_STRING"},
            {"name": "TEXT", "data_type": "TYPE_STRING", "optional": True},
            {"name": "SEED", "data_type": "TYPE_INT64", "optional": True},
            {"name": "STEPS", "data_type": "TYPE_INT32", "optional": True},
            {"name": "SAMPLER", "data_type": "TYPE_STRING", "optional": True},
            {"name": "SHARP", "data_type": "TYPE_BOOL", "optional": True},
            {"name": "TIMEOUT", "data_type": "TYPE_FP32", "optional": True},
        ],
        "parameters": {
            key: {"string_value": value}
            for key, value in {
                "task": "dream",
                "model": "dreamer",
                "deadline_seconds": "30",
                "part.denoiser": "dream_unet",
                "part.reader": "reader; TEXT",
                "part.sharpener": "sharpener; SHARP=true",
                "setting.SEED": "; 0..9223372036854775807; of the noise",
                "setting.STEPS": "3; 1..50; steps",
                "setting.SAMPLER": "ddim; ddim|heun; sampler",
                "setting.SHARP": "false; false|true; whether it is sharpened",
            }.items()
        },
    }
)
assert PIPELINE is not None


class FakeHost:
    """A host with one network, which finds a tenth of what it is given to be noise.

    Args:
        seconds: how long the network takes.
        broken_from: the call from which on its output is not finite.
    """

    def __init__(self, seconds: float = 0.0, broken_from: int = 1000) -> None:
        self._seconds, self._broken_from = seconds, broken_from
        self.asked: list[Sample] = []
        self.together: list[int] = []
        self.reported: list[tuple[int, int, bytes]] = []
        self.stepping_with: set[str] = set()

    async def ask(self, model: str, inputs: Sample, outputs: Sequence[str]) -> Sample:
        assert model in self.stepping_with
        self.asked.append(inputs)
        await asyncio.sleep(self._seconds)
        factor = np.float32(np.nan if len(self.asked) > self._broken_from else 0.1)
        return {name: factor * inputs["LATENT"] + np.float32(inputs.get("TEXT", 0)) for name in outputs}

    async def ask_together(self, model: str, samples: Sequence[Sample], outputs: Sequence[str]) -> list[Sample]:
        self.together.append(len(samples))
        return [await self.ask(model, sample, outputs) for sample in samples]

    async def compute(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments)

    @contextmanager
    def stepping(self, model: str) -> Iterator[None]:
        self.stepping_with.add(model)
        yield
        self.stepping_with.remove(model)

    async def report(self, step: int, total: int, preview: bytes) -> None:
        self.reported.append((step, total, preview))


class Dream(Loop):
    """A latent out of noise and nothing else."""

    faster = "fewer STEPS"

    async def answer(self) -> Sample:
        sampler = make_sampler(self.request.settings["SAMPLER"], self.steps)
        latent = self.noise.draw(0, SHAPE) * np.float32(sampler.initial_scale)
        unet = self.request.models["denoiser"]

        async def tell(step: int, estimate: np.ndarray) -> None:
            await self.report(step)

        return {"DREAM": await denoise(self.host, unet, sampler, latent, {}, self.noise, on_step=tell)}


def dream(host: FakeHost, **given: object) -> Sample:
    return asyncio.run(Dream(LoopRequest.read(PIPELINE, {"IMAGE": b""} | given), host, Limits()).run())


@pytest.mark.parametrize(("sampler", "calls"), [(b"ddim", 3), (b"heun", 5)])
def test_progress_counts_the_steps_that_the_client_asked_for(sampler: bytes, calls: int) -> None:
    host = FakeHost()
    dream(host, SAMPLER=sampler)
    assert host.reported == [(1, 3, b""), (2, 3, b""), (3, 3, b"")]
    assert len(host.asked) == calls


def test_a_seed_is_in_the_answer_and_gives_it_again() -> None:
    drawn, five, six = dream(FakeHost()), dream(FakeHost(), SEED=5), dream(FakeHost(), SEED=6)
    again = dream(FakeHost(), SEED=int(drawn["SEED"].item()))
    np.testing.assert_array_equal(drawn["DREAM"], again["DREAM"])
    assert five["SEED"].tolist() == [5] and five["SEED"].dtype == np.int64
    assert (five["DREAM"] != six["DREAM"]).any()


def test_a_request_whose_time_is_up_says_how_far_it_came_and_what_would_help() -> None:
    with pytest.raises(DeadlineExceeded) as caught:
        dream(FakeHost(seconds=0.2), TIMEOUT=0.3, STEPS=50)
    assert "not answered within 0.3 s, after 1 of 50 steps; allowed: a longer TIMEOUT, fewer STEPS" in str(caught.value)


def test_a_network_that_gives_no_number_is_named_with_its_step() -> None:
    host = FakeHost(broken_from=3)
    with pytest.raises(NotFinite, match=r"dream_unet: the network's output is not finite at step 2 of 3"):
        dream(host, SAMPLER=b"heun")
    assert [step for step, _, _ in host.reported] == [1]


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_blend_before_each_call_is_what_the_network_reads(name: str) -> None:
    """Blended latent diffusion: outside a mask the image's own latent, with the noise of the moment."""
    host, sampler = FakeHost(), make_sampler(name, 5, start=2)
    image, noise = SeededNoise(1).draw(0, SHAPE), SeededNoise(2)
    outside = np.arange(SHAPE[2]) < 2

    def blend(latent: np.ndarray, i: int) -> np.ndarray:
        return np.where(outside, sampler.noised(image, noise.draw(0, SHAPE), i), latent)

    result = asyncio.run(
        denoise(
            host,
            "unet",
            sampler,
            sampler.noised(image, noise.draw(0, SHAPE), 0),
            {"DEPTH": image},
            noise,
            before=blend,
            after=lambda latent, i: blend(latent, i + 1),
        )
    )
    for i, asked in enumerate(host.asked):
        expected = sampler.scale(sampler.noised(image, noise.draw(0, SHAPE), i), i)
        np.testing.assert_array_equal(asked["LATENT"][..., outside], expected[..., outside])
        assert asked["DEPTH"] is image and asked["TIMESTEP"] == sampler.timesteps[i]
    np.testing.assert_array_equal(result[..., outside], image[..., outside])
    assert (result[..., ~outside] != image[..., ~outside]).all()


def denoised(host: FakeHost, text: float, **also: Any) -> np.ndarray:
    noise = SeededNoise(1)
    sampler = make_sampler("dpmpp_2m", 3)
    return asyncio.run(denoise(host, "unet", sampler, noise.draw(0, SHAPE), {"TEXT": text}, noise, **also))


def test_guidance_asks_for_both_in_one_call_and_goes_beyond_the_text() -> None:
    host = FakeHost()
    guided = denoised(host, 0.2, guidance=Guidance(3.0, {"TEXT": 0.1}))
    assert host.together == [2, 2, 2]
    np.testing.assert_allclose(guided, denoised(FakeHost(), 0.1 + 3 * (0.2 - 0.1)), atol=1e-5)


def test_what_else_a_network_answers_is_kept_call_by_call() -> None:
    logits: list[np.ndarray] = []
    host = FakeHost()
    denoised(host, 0.5, kept={"MASK_LOGITS": logits}, guidance=Guidance(2.0, {"TEXT": 0.0}))
    # Of the request's own text.
    expected = [0.1 * sample["LATENT"] + 0.5 for sample in host.asked[::2]]
    np.testing.assert_allclose(logits, expected, atol=1e-6)


def test_an_open_setting_has_its_default_and_a_seed_is_drawn() -> None:
    first, second = (LoopRequest.read(PIPELINE, {"IMAGE": b"image"}) for _ in range(2))
    assert first.inputs == {"IMAGE": b"image"} and first.timeout == 30
    assert {**first.settings, "SEED": 0} == {"SEED": 0, "STEPS": 3, "SAMPLER": "ddim", "SHARP": False}
    assert 0 <= first.settings["SEED"] < 2**63 and first.settings["SEED"] != second.settings["SEED"]


@pytest.mark.parametrize(
    ("given", "roles"),
    [
        ({}, {"denoiser"}),
        ({"TEXT": b"a cat"}, {"denoiser", "reader"}),
        ({"SHARP": True}, {"denoiser", "sharpener"}),
        ({"SHARP": False}, {"denoiser"}),
    ],
)
def test_a_request_needs_the_models_that_it_asks_for(given: dict, roles: set[str]) -> None:
    assert LoopRequest.read(PIPELINE, {"IMAGE": b""} | given).models.keys() == roles


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"STEPS": 0}, r"STEPS: is 0; allowed: a whole number from 1 to 50"),
        ({"SAMPLER": b"magic"}, r"SAMPLER: is 'magic'; allowed: ddim, heun"),
        ({"SAMPLER": b"\xff"}, r"SAMPLER: is '.'; allowed: ddim, heun"),
        ({"TIMEOUT": float("inf")}, r"TIMEOUT: is inf; allowed: seconds, more than 0 and at most 86400"),
    ],
)
def test_a_setting_out_of_its_range_is_refused(given: dict, message: str) -> None:
    with pytest.raises(InvalidSetting, match=message):
        LoopRequest.read(PIPELINE, {"IMAGE": b""} | given)


def test_a_missing_input_is_named() -> None:
    with pytest.raises(InvalidSetting, match="IMAGE: is missing"):
        LoopRequest.read(PIPELINE, {"STEPS": 1})
