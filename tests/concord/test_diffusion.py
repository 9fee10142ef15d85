"""The loop is diffusers' inpainting pipeline with DiffHarmony's conditions, for every sampler."""

import asyncio
import io
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, StableDiffusionInpaintPipeline, UNet2DConditionModel
from diffusers.schedulers import scheduling_euler_ancestral_discrete
from PIL import Image

from concord.limits import Limits
from concord.loops.diffharmony import DiffHarmony
from concord.loops.host import Sample
from concord.loops.request import LoopRequest
from concord.masks import encode_mask
from concord.noise import SeededNoise
from concord.png import encode_png
from concord.samplers import SAMPLERS
from concord.server.declared import catalogue
from concord.server.installation import MODEL_REPOSITORIES
from tests.concord.test_samplers import PUBLISHED
from tests.concord.test_transfer import disc, texture

SIZE, SEED = 256, 3
PIXELS, MASK = texture(SIZE, SIZE), disc(SIZE, SIZE)


def networks() -> tuple[AutoencoderKL, UNet2DConditionModel]:
    torch.manual_seed(0)
    vae = AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4,
        block_out_channels=[8] * 4,
        norm_num_groups=4,
    )
    unet = UNet2DConditionModel(
        sample_size=SIZE // 8,
        in_channels=9,
        out_channels=4,
        block_out_channels=(8, 16),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=8,
        attention_head_dim=4,
        norm_num_groups=4,
    )
    return vae.eval(), unet.eval()


class TorchHost:
    """A host that runs the networks itself, and keeps what the decoder returned."""

    def __init__(self, vae: AutoencoderKL, unet: UNet2DConditionModel, text: torch.Tensor) -> None:
        self._vae, self._unet, self._text = vae, unet, text
        self.steps: list[int] = []
        self.result = np.empty(0)

    async def ask(self, model: str, inputs: Sample, outputs: Sequence[str]) -> Sample:
        with torch.inference_mode():
            answer = self._run(model, {name: torch.tensor(value)[None] for name, value in inputs.items()})
        return {outputs[0]: answer[0].numpy()}

    async def ask_together(self, model: str, samples: Sequence[Sample], outputs: Sequence[str]) -> list[Sample]:
        return [await self.ask(model, sample, outputs) for sample in samples]

    def _run(self, model: str, tensors: dict[str, torch.Tensor]) -> torch.Tensor:
        scaling = self._vae.config.scaling_factor
        match model:
            case "vae_encoder":
                image = tensors["COMPOSITE"].permute(0, 3, 1, 2) / 127.5 - 1
                return self._vae.encode(image).latent_dist.mode() * scaling
            case "unet":
                channels = torch.cat([tensors[name] for name in ("LATENT", "LATENT_MASK", "COMPOSITE_LATENT")], 1)
                return self._unet(channels, tensors["TIMESTEP"][:, 0], self._text).sample
            case "vae_decoder":
                decoded = self._vae.decode(tensors["LATENT"] / scaling).sample / 2 + 0.5
                self.result = decoded[0].numpy()
                return decoded
        raise AssertionError(model)

    async def compute(self, function: Callable, *arguments: Any) -> Any:
        return function(*arguments)

    def stepping(self, model: str) -> AbstractContextManager[None]:
        return nullcontext()

    async def report(self, step: int, total: int, preview: bytes) -> None:
        self.steps.append(step)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_loop_decodes_what_diffusers_pipeline_does(sampler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    vae, unet = networks()
    text = torch.randn(1, 77, 8, generator=torch.Generator().manual_seed(1))
    host = TorchHost(vae, unet, text)
    inputs = {
        "IMAGE": encode_png(PIXELS),
        "MASK": encode_mask(MASK),
        "SEED": SEED,
        "SAMPLER": sampler.encode(),
        "RESOLUTION": SIZE,
    }
    [pipeline] = (each for each in catalogue(MODEL_REPOSITORIES, missing=()).pipelines if each.name == "diffharmony")
    answer = asyncio.run(DiffHarmony(LoopRequest.read(pipeline, inputs), host, Limits()).run())
    assert host.steps == [0, 1, 2, 3, 4, 5]

    noise = SeededNoise(SEED)
    draws = iter([torch.from_numpy(noise.draw(index, (1, 4, SIZE // 8, SIZE // 8))) for index in range(1, 6)])
    monkeypatch.setattr(scheduling_euler_ancestral_discrete, "randn_tensor", lambda *_, **__: next(draws))
    pipeline = StableDiffusionInpaintPipeline(
        vae, None, None, unet, PUBLISHED[sampler](), None, None, requires_safety_checker=False
    )
    pipeline.set_progress_bar_config(disable=True)
    image = torch.from_numpy(PIXELS).permute(2, 0, 1)[None] / 255
    with torch.inference_mode():
        published = pipeline(
            prompt_embeds=text,
            image=image,
            mask_image=torch.from_numpy(MASK)[None, None] / 255,
            masked_image_latents=vae.encode(2 * image - 1).latent_dist.mode() * vae.config.scaling_factor,
            latents=torch.from_numpy(noise.draw(0, (1, 4, SIZE // 8, SIZE // 8))),
            height=SIZE,
            width=SIZE,
            strength=1.0,
            num_inference_steps=5,
            guidance_scale=1.0,
            output_type="np",
        ).images[0]
    np.testing.assert_allclose(np.clip(np.moveaxis(host.result, 0, 2), 0, 1), published, atol=1e-3)
    assert published.std() > 0.01

    harmonized = np.asarray(Image.open(io.BytesIO(answer["HARMONIZED"])))
    np.testing.assert_array_equal(harmonized[MASK == 0], PIXELS[MASK == 0])
    assert (harmonized != PIXELS).any()
