"""The loop is PHDiffusion's published recipe on diffusers' scheduler, with the same noise."""

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
from torch import Tensor, nn

from concord.limits import Limits
from concord.loops.host import Sample
from concord.loops.phdiffusion import PhDiffusion
from concord.loops.request import LoopRequest
from concord.masks import encode_mask
from concord.noise import SeededNoise
from concord.png import encode_png
from concord.server.declared import catalogue
from concord.server.installation import MODEL_REPOSITORIES
from export.candidates import served_vae
from export.networks.phdiffusion_adapter import ServedAdapter
from export.networks.phdiffusion_unet import PaintingUnet, ServedPaintingUnet
from tests.concord.test_samplers import PUBLISHED
from tests.concord.test_transfer import disc, texture
from tests.export import small_diffusion, small_painting

SIZE, SEED = 256, 3
PIXELS, MASK = texture(SIZE, SIZE), disc(SIZE, SIZE)
STATES = torch.randn(77, small_diffusion.WIDTH, generator=torch.Generator().manual_seed(1))
FEATURES = tuple(f"FEATURE_{level}" for level in range(4))
[PIPELINE] = (each for each in catalogue(MODEL_REPOSITORIES, missing=()).pipelines if each.name == "phdiffusion")


def painting_unet() -> PaintingUnet:
    torch.manual_seed(4)
    return PaintingUnet(small_painting.SIZES).eval()


class TorchHost:
    """A host that runs the networks itself, and keeps what the decoder returned."""

    def __init__(self) -> None:
        encoder, decoder = served_vae(small_diffusion.vae())
        self._networks: dict[str, tuple[nn.Module, tuple[str, ...]]] = {
            "phdiffusion_encoder": (encoder, ("COMPOSITE",)),
            "phdiffusion_decoder": (decoder, ("LATENT",)),
            "phdiffusion_adapter": (ServedAdapter(small_painting.adapter(True)), ("COMPOSITE", "COMPOSITE_MASK")),
            "phdiffusion_unet": (
                ServedPaintingUnet(painting_unet(), STATES),
                ("LATENT", "TIMESTEP", "LATENT_MASK", *FEATURES),
            ),
        }
        self.steps: list[int] = []
        self.asked: list[str] = []
        self.result = np.empty(0)

    async def ask(self, model: str, inputs: Sample, outputs: Sequence[str]) -> Sample:
        network, names = self._networks[model]
        self.asked.append(model)
        with torch.inference_mode():
            answer = network(*(torch.tensor(inputs[name])[None] for name in names))
        arrays = [value[0].numpy() for value in (answer if isinstance(answer, tuple) else (answer,))]
        if model.endswith("decoder"):
            [self.result] = arrays
        return dict(zip(outputs, arrays, strict=True))

    async def ask_together(self, model: str, samples: Sequence[Sample], outputs: Sequence[str]) -> list[Sample]:
        return [await self.ask(model, sample, outputs) for sample in samples]

    async def compute(self, function: Callable, *arguments: Any) -> Any:
        return function(*arguments)

    def stepping(self, model: str) -> AbstractContextManager[None]:
        return nullcontext()

    async def report(self, step: int, total: int, preview: bytes) -> None:
        self.steps.append(step)


def looped(host: TorchHost, **settings: object) -> np.ndarray:
    given = {"IMAGE": encode_png(PIXELS), "MASK": encode_mask(MASK), "SEED": SEED, "RESOLUTION": SIZE, **settings}
    answer = asyncio.run(PhDiffusion(LoopRequest.read(PIPELINE, given), host, Limits()).run())
    return np.asarray(Image.open(io.BytesIO(answer["HARMONIZED"])))


def published(mask: Tensor) -> np.ndarray:
    """The picture [S, S, 3] of the recipe, written down straight."""
    vae, adapter, unet = small_diffusion.vae(), small_painting.adapter(True), painting_unet()
    scheduler = PUBLISHED["plms"]()
    scheduler.set_timesteps(50)
    timesteps = scheduler.timesteps[-36:]
    noise = SeededNoise(SEED)
    draws = [torch.from_numpy(noise.draw(index, (1, 4, SIZE // 8, SIZE // 8))) for index in range(37)]
    composite = torch.from_numpy(PIXELS).permute(2, 0, 1)[None] / 127.5 - 1
    small_mask = F.interpolate(mask, size=(SIZE // 8, SIZE // 8))
    with torch.inference_mode():
        clean = vae.encode(composite).latent_dist.mode() * vae.config.scaling_factor
        features = adapter(torch.cat((composite, mask), 1))
        latents = scheduler.add_noise(clean, draws[0], timesteps[:1])
        for timestep, draw in zip(timesteps, draws[1:], strict=True):
            background = scheduler.add_noise(clean, draw, timestep[None])
            latents = background * (1 - small_mask) + latents * small_mask
            noise_found = unet(latents, timestep[None], STATES[None], small_mask, *features)
            latents = scheduler.step(noise_found, timestep, latents).prev_sample
        decoded = vae.decode(latents / vae.config.scaling_factor).sample
    return (decoded / 2 + 0.5).clamp(0, 1)[0].permute(1, 2, 0).numpy()


@pytest.fixture(scope="module")
def recipe() -> np.ndarray:
    return published(torch.from_numpy(MASK)[None, None] / 255)


def test_the_loop_decodes_what_the_published_recipe_does(recipe: np.ndarray) -> None:
    host = TorchHost()
    harmonized = looped(host)
    np.testing.assert_allclose(np.clip(np.moveaxis(host.result, 0, 2), 0, 1), recipe, atol=1e-3)
    assert recipe.std() > 0.01
    assert host.asked.count("phdiffusion_unet") == 36 and host.asked.count("phdiffusion_adapter") == 1
    assert host.steps == list(range(36))
    np.testing.assert_array_equal(harmonized[MASK == 0], PIXELS[MASK == 0])
    np.testing.assert_allclose(harmonized[MASK > 0], 255 * recipe[MASK > 0], atol=1)


def test_the_published_answer_is_the_square_with_nothing_pasted(recipe: np.ndarray) -> None:
    harmonized = looped(TorchHost(), FRAME=b"published")
    np.testing.assert_allclose(harmonized, 255 * recipe, atol=1)
    assert (harmonized != PIXELS)[MASK == 0].any()


def test_a_share_of_the_steps_is_made_as_the_wire_rounds_it() -> None:
    for depth, calls in ((np.float32(0.7).item(), 8), (0.1, 2)):
        host = TorchHost()
        looped(host, STEPS=10, DEPTH=depth)
        assert host.asked.count("phdiffusion_unet") == calls
        assert host.steps[-1] == calls - 1
