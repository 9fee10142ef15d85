"""The loop is Blended Latent Diffusion's published recipe on both of its bases, with the same noise."""

import asyncio
import io
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from concord.limits import Limits
from concord.loops.blended_latent import BlendedLatent, BlendedStableDiffusion, latent_part, shrinking, stage
from concord.loops.host import Sample
from concord.loops.request import LoopRequest
from concord.masks import encode_mask
from concord.noise import MAX_SEED, SeededNoise
from concord.png import encode_png
from concord.server.declared import catalogue
from concord.server.installation import MODEL_REPOSITORIES
from export.candidates import served_vae
from tests.concord.test_samplers import PUBLISHED
from tests.concord.test_transfer import disc, texture
from tests.export import small_diffusion

SIZE, SEED, STEPS, SCALE = 256, 3, 8, 4.0
PIXELS, MASK = texture(SIZE, SIZE), disc(SIZE, SIZE)
TEXT, NO_TEXT = (torch.randn(1, 7, small_diffusion.WIDTH, generator=torch.manual_seed(seed)) for seed in (1, 2))
LOOPS = {"blended_latent": BlendedLatent, "blended_stable_diffusion": BlendedStableDiffusion}
PIPELINES = {each.name: each for each in catalogue(MODEL_REPOSITORIES, missing=()).pipelines if each.name in LOOPS}
RANKING = ("clip_text_encoder", "clip_image_encoder")
ROLES = (*RANKING, "tokenizer", "text_encoder", "encoder", "unet", "decoder")
UNET, VAE = small_diffusion.unet(in_channels=4), small_diffusion.vae()


class TorchHost:
    """A host that runs the networks itself, and keeps what the decoder returned."""

    def __init__(self) -> None:
        self.encoder, self.decoder = served_vae(VAE)
        self.told: list[tuple[int, int]] = []
        self.asked: list[str] = []
        self.drawn: list[np.ndarray] = []

    async def ask(self, model: str, inputs: Sample, outputs: Sequence[str]) -> Sample:
        [answer] = await self.ask_together(model, [inputs], outputs)
        return answer

    async def ask_together(self, model: str, samples: Sequence[Sample], outputs: Sequence[str]) -> list[Sample]:
        role = next(each for each in ROLES if model.endswith(each))
        self.asked.append(role)
        with torch.inference_mode():
            answers = [getattr(self, f"run_{role}")(each)[: len(outputs)] for each in samples]
        return [dict(zip(outputs, answer, strict=True)) for answer in answers]

    def run_clip_text_encoder(self, inputs: Sample) -> tuple[Any, ...]:
        return (np.ones(2, np.float32),)

    def run_clip_image_encoder(self, inputs: Sample) -> tuple[Any, ...]:
        """A picture shows a text the better the brighter it is."""
        return (np.full(2, inputs["VIEW"].mean(), np.float32),)

    def run_tokenizer(self, inputs: Sample) -> tuple[Any, ...]:
        return np.array([1]), np.array([0]), np.array([inputs["TEXT"] == b"long"])

    def run_text_encoder(self, inputs: Sample) -> tuple[Any, ...]:
        return ((TEXT if inputs["TOKENS"][0] else NO_TEXT)[0].numpy(),)

    def run_encoder(self, inputs: Sample) -> tuple[Any, ...]:
        return (self.encoder(torch.tensor(inputs["COMPOSITE"])[None])[0].numpy(),)

    def run_unet(self, inputs: Sample) -> tuple[Any, ...]:
        latent, timestep, states = (torch.tensor(inputs[name])[None] for name in ("LATENT", "TIMESTEP", "STATES"))
        return (UNET(latent, timestep[:, 0], states).sample[0].numpy(),)

    def run_decoder(self, inputs: Sample) -> tuple[Any, ...]:
        self.drawn.append(self.decoder(torch.tensor(inputs["LATENT"])[None])[0].numpy())
        return (self.drawn[-1],)

    async def compute(self, function: Callable, *arguments: Any) -> Any:
        return function(*arguments)

    def stepping(self, model: str) -> AbstractContextManager[None]:
        return nullcontext()

    async def report(self, step: int, total: int, preview: bytes) -> None:
        self.told.append((step, total))


def edited(
    host: TorchHost, name: str = "blended_latent", mask: np.ndarray = MASK, text: bytes = b"a boat", **settings: object
) -> dict[str, Any]:
    given = {"IMAGE": encode_png(PIXELS), "MASK": encode_mask(mask), "TEXT": text, "SEED": SEED, "RESOLUTION": SIZE}
    given |= {"STEPS": STEPS, "GUIDANCE": SCALE, "BLEND": False, **settings}
    return asyncio.run(LOOPS[name](LoopRequest.read(PIPELINES[name], given), host, Limits()).run())


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))


class Recipe:
    """What both published recipes have, written down straight."""

    def __init__(self) -> None:
        noise, shape = SeededNoise(SEED), (1, 4, SIZE // 8, SIZE // 8)
        self.draws = [torch.from_numpy(noise.draw(index, shape)) for index in range(STEPS + 1)]
        image = torch.from_numpy(PIXELS).permute(2, 0, 1)[None] / 127.5 - 1
        self.source = VAE.encode(image).latent_dist.mean * VAE.config.scaling_factor
        small = Image.fromarray(MASK).resize((SIZE // 8, SIZE // 8), Image.Resampling.NEAREST)
        self.mask = (torch.from_numpy(np.array(small)) / 255 >= 0.5).float()[None, None]

    def noise(self, latents: Tensor, timestep: Tensor) -> Tensor:
        unconditional, conditional = UNET(torch.cat([latents] * 2), timestep, torch.cat([NO_TEXT, TEXT])).sample.chunk(
            2
        )
        return unconditional + SCALE * (conditional - unconditional)

    def picture(self, latents: Tensor) -> np.ndarray:
        decoded = VAE.decode(latents / VAE.config.scaling_factor).sample
        return (decoded / 2 + 0.5).clamp(0, 1)[0].numpy()


@torch.inference_mode()
def stable_diffusion() -> np.ndarray:
    """Blended after each step with the noise of that step, from the noised source, without the first quarter."""
    recipe = Recipe()
    scheduler = PUBLISHED["ddim"]()
    scheduler.set_timesteps(STEPS)
    timesteps = scheduler.timesteps[int(STEPS * 0.25) :]
    latents = scheduler.add_noise(recipe.source, recipe.draws[0], timesteps[:1])
    for timestep, draw in zip(timesteps, recipe.draws[1:], strict=False):
        latents = scheduler.step(recipe.noise(latents, timestep), timestep, latents).prev_sample
        noised = scheduler.add_noise(recipe.source, draw, timestep[None])
        latents = latents * recipe.mask + noised * (1 - recipe.mask)
    return recipe.picture(latents)


@torch.inference_mode()
def latent_diffusion(wider: int) -> np.ndarray:
    """Blended before each step, with masks that shrink to the own one."""
    recipe = Recipe()
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    kept = torch.cumprod(1 - betas, 0).float()
    timesteps = torch.arange(0, 1000, 1000 // STEPS) + 1
    before = torch.cat([kept[:1], kept[timesteps[:-1]]])
    kernels = [3 + 2 * number for number in reversed(range(wider))]
    masks = [*(F.max_pool2d(recipe.mask, kernel, 1, kernel // 2) for kernel in kernels), recipe.mask]
    interval = STEPS // len(masks) + 1

    def noised(timestep: Tensor, draw: Tensor) -> Tensor:
        return kept[timestep].sqrt() * recipe.source + (1 - kept[timestep]).sqrt() * draw

    latents = noised(timesteps[-1], recipe.draws[0])
    for call, (timestep, previous) in enumerate(zip(timesteps.flip(0), before.flip(0), strict=True)):
        mask = masks[call // interval]
        latents = noised(timestep, recipe.draws[call + 1]) * (1 - mask) + mask * latents
        found = recipe.noise(latents, timestep)
        clean = (latents - (1 - kept[timestep]).sqrt() * found) / kept[timestep].sqrt()
        latents = previous.sqrt() * clean + (1 - previous).sqrt() * found
    return recipe.picture(latents)


@pytest.mark.parametrize(
    ("name", "settings", "recipe"),
    [
        ("blended_stable_diffusion", {}, stable_diffusion),
        ("blended_latent", {}, lambda: latent_diffusion(0)),
        ("blended_latent", {"DILATION": 3}, lambda: latent_diffusion(3)),
    ],
    ids=["Stable Diffusion", "latent diffusion", "a shrinking mask"],
)
def test_the_loop_draws_what_the_published_recipe_does(
    name: str, settings: dict[str, Any], recipe: Callable[[], np.ndarray]
) -> None:
    host, expected = TorchHost(), recipe()
    answer = pixels(edited(host, name, **settings)["EDITED"])
    np.testing.assert_allclose(np.clip(host.drawn[0], 0, 1), expected, atol=1e-3)
    assert expected.std() > 0.01
    np.testing.assert_array_equal(answer[MASK == 0], PIXELS[MASK == 0])
    np.testing.assert_allclose(answer[MASK > 0], 255 * np.moveaxis(expected, 0, 2)[MASK > 0], atol=1)


@pytest.mark.parametrize(("skip", "calls"), [(0.0, 8), (np.float32(0.25).item(), 6), (0.9, 1)])
def test_a_share_of_the_steps_is_left_out(skip: float, calls: int) -> None:
    host = TorchHost()
    edited(host, SKIP=skip)
    assert host.asked.count("unet") == calls and host.told == [(step, calls) for step in range(calls + 1)]


def test_a_candidate_is_the_picture_of_the_next_seed_and_steps_are_counted_over_all() -> None:
    host = TorchHost()
    first, second, third = (edited(TorchHost(), SEED=seed, STEPS=2)["EDITED"] for seed in (MAX_SEED, 0, 1))
    answer = edited(host, SEED=MAX_SEED, STEPS=2, CANDIDATES=3)
    assert (answer["EDITED"], list(answer["CANDIDATES"])) == (first, [second, third]) and first != second != third
    assert host.told == [(step, 6) for step in range(7)] and answer["SEED"].item() == MAX_SEED
    assert host.asked.count("encoder") == 1 and "SCORES" not in answer


def test_ranked_candidates_come_the_best_first_with_falling_scores() -> None:
    unranked = edited(TorchHost(), STEPS=2, CANDIDATES=4)
    ranked = edited(TorchHost(), STEPS=2, CANDIDATES=4, RANK=True)
    order = [ranked["EDITED"], *ranked["CANDIDATES"]]
    assert sorted(order) == sorted([unranked["EDITED"], *unranked["CANDIDATES"]])
    light = [pixels(each)[MASK > 0].mean() for each in order]
    assert light == sorted(light, reverse=True) and (np.diff(ranked["SCORES"]) < 0).all()


def test_without_guidance_no_states_of_the_empty_text_are_asked_for() -> None:
    told = edited(TorchHost(), GUIDANCE=1.0, STEPS=2)["EDITED"]
    assert told != edited(TorchHost(), STEPS=2)["EDITED"]


def test_an_empty_mask_changes_nothing_and_no_network_draws() -> None:
    host = TorchHost()
    answer = edited(host, mask=np.zeros_like(MASK), text=b"long", CANDIDATES=2)
    assert (pixels(answer["EDITED"]) == PIXELS).all() and "CANDIDATES" not in answer
    assert answer["TRUNCATED"].item() and not {"encoder", "unet", "decoder"} & set(host.asked)


def test_a_mask_that_covers_everything_repaints_the_whole_photograph() -> None:
    host = TorchHost()
    answer = pixels(edited(host, mask=np.full_like(MASK, 255), STEPS=2, BLEND=True)["EDITED"])
    np.testing.assert_allclose(answer, 255 * np.clip(np.moveaxis(host.drawn[0], 0, 2), 0, 1), atol=1)


def test_the_latents_mask_is_by_the_middle_of_each_cell_unless_that_loses_all_of_it() -> None:
    part = np.zeros((32, 24), np.uint8)
    part[4, 12] = part[17:20, 0:7] = 1
    expected = np.zeros((1, 4, 3), np.float32)
    expected[0, 0, 1] = 1
    np.testing.assert_array_equal(latent_part(part), expected)
    part[4, 12] = 0
    expected[0, 0, 1], expected[0, 2, 0] = 0, 1
    np.testing.assert_array_equal(latent_part(part), expected)


def test_a_mask_shrinks_to_itself_by_squares() -> None:
    own = np.zeros((1, 9, 9), np.float32)
    own[0, 4, 4] = 1
    masks = shrinking(own, 3)
    assert [int(mask.sum()) for mask in masks] == [49, 25, 9, 1] and masks[-1] is own
    assert all(set(np.unique(mask)) == {0, 1} for mask in masks)
    assert [stage(call, 8, 4) for call in range(8)] == [0, 0, 0, 1, 1, 1, 2, 2]
    assert [stage(call, 50, 4) for call in (0, 12, 13, 38, 39, 49)] == [0, 0, 1, 2, 3, 3]
