"""Text-to-image Stable Diffusion from diffusers' folder and from one file, beside diffusers' own pipeline."""

import asyncio
import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import PNDMScheduler, StableDiffusionPipeline

from concord.limits import Limits
from concord.loops.request import LoopRequest
from concord.loops.text_to_image import TextToImage
from concord.noise import SeededNoise
from concord.tokenizer import END
from export.__main__ import main
from export.candidates import served_vae
from export.checkpoint import CheckpointError
from export.networks.stable_diffusion_text_encoder import WIDTH, texts
from export.networks.text_encoder import ServedTextEncoder
from export.networks.text_unet import ServedTextUnet
from export.pipelines import stable_diffusion
from tests.commands import run
from tests.export import small_diffusion, small_painting
from tests.export.text_host import TextHost
from tests.serving.pictures import decoded

STEPS, SEED, SCALE, SIDE = 8, 7, 7.5, 128
TEXT = b"a red cat on a sofa"
export = partial(run, main, "stable_diffusion", "--convolution", "direct")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small pipeline as diffusers saves it."""
    path = small_painting.save_folder(tmp_path_factory.mktemp("saved") / "sd", sample_size=96)
    small_diffusion.text_encoder(max_position_embeddings=77).save_pretrained(path / "text_encoder")
    return path


@torch.no_grad()
def test_the_loop_gives_the_picture_of_diffusers_pipeline(folder: Path) -> None:
    found = stable_diffusion.read_folder(folder)
    tokens_of, empty = texts(folder)
    networks = {
        "text_encoder": ServedTextEncoder(found.text_encoder, WIDTH, found.padding),
        "unet": ServedTextUnet(found.unet, small_diffusion.WIDTH),
        "decoder": served_vae(found.vae)[1],
    }
    settings = {"SEED": SEED, "STEPS": STEPS, "SAMPLER": "plms", "GUIDANCE": SCALE, "RESOLUTION": SIDE}
    request = LoopRequest({"TEXT": TEXT}, settings, {role: role for role in (*networks, "tokenizer")}, 600)
    answer = asyncio.run(TextToImage(request, TextHost(networks, (tokens_of, empty)), Limits()).run())
    scheduler = PNDMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1
    )
    published = StableDiffusionPipeline(
        found.vae, found.text_encoder, None, found.unet, scheduler, None, None, requires_safety_checker=False
    )
    published.set_progress_bar_config(disable=True)
    told, without = (found.text_encoder(torch.from_numpy(each)[None])[0] for each in (tokens_of(TEXT), empty))
    [expected] = published(
        prompt_embeds=told,
        negative_prompt_embeds=without,
        num_inference_steps=STEPS,
        guidance_scale=SCALE,
        height=SIDE,
        width=SIDE,
        latents=torch.from_numpy(SeededNoise(SEED).draw(0, (1, 4, SIDE // 8, SIDE // 8))),
        output_type="np",
    ).images
    # A thousandth of the range, behind the rounding to whole levels.
    assert np.abs(decoded(answer["GENERATED"]) - 255 * expected).max() <= 0.5 + 0.255
    assert expected.std() > 0.04


def test_a_file_and_a_folder_give_the_same_pipeline(folder: Path, tmp_path: Path) -> None:
    configs = small_painting.save_folder(tmp_path / "configs")
    file = stable_diffusion.read_file(small_painting.save_file(tmp_path / "sd.ckpt"), configs)
    read = stable_diffusion.read_folder(folder)
    for one, other in ((file.unet, read.unet), (file.vae, read.vae)):
        weights = other.state_dict()
        assert all(torch.equal(value, weights[key]) for key, value in one.state_dict().items())
    assert file.checkpoints.keys() == {"sd.ckpt"}


@torch.no_grad()
def test_the_text_encoder_gets_the_padding_of_its_own_tokenizer(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer" / "special_tokens_map.json"
    assert stable_diffusion.read_padding(path) == END
    path.parent.mkdir()
    for word, number in (("<|endoftext|>", END), ("!", 0), ({"content": "!", "lstrip": False}, 0)):
        path.write_text(json.dumps({"pad_token": word}))
        assert stable_diffusion.read_padding(path) == number
    path.write_text(json.dumps({"pad_token": "[PAD]"}))
    with pytest.raises(CheckpointError, match=r"pads with '\[PAD\]'; allowed are"):
        stable_diffusion.read_padding(path)
    encoder = small_diffusion.text_encoder(max_position_embeddings=77)
    tokens = torch.from_numpy(texts(folder)[0](TEXT))[None]
    padded = torch.where(torch.arange(77) > tokens[0].tolist().index(END), 0, tokens)
    states = ServedTextEncoder(encoder, WIDTH, 0)(tokens)
    torch.testing.assert_close(states[..., : small_diffusion.WIDTH], encoder(padded).last_hidden_state)
    assert not states[..., small_diffusion.WIDTH :].any()


def refused(folder: Path, *arguments: object) -> str:
    finished = export(*arguments, "--model-repository", folder / "models")
    assert finished.returncode == 1 and not (folder / "models").exists()
    return finished.stderr


def test_a_pipeline_of_another_family_is_named(folder: Path, tmp_path: Path) -> None:
    inpainting = small_painting.save_folder(tmp_path / "inpainting", in_channels=9)
    assert "9 input channels: that of inpainting Stable Diffusion" in refused(tmp_path, "--pipeline", inpainting)
    config = folder / "scheduler" / "scheduler_config.json"
    other = tmp_path / "other"
    (other / "scheduler").mkdir(parents=True)
    text = config.read_text().replace('"epsilon"', '"v_prediction"')
    (other / "scheduler" / config.name).write_text(text)
    assert "prediction_type is 'v_prediction'; the samplers are for 'epsilon'" in refused(tmp_path, "--pipeline", other)
    assert "one of --pipeline and --single-file is needed" in refused(tmp_path)
    assert "no such folder" in refused(tmp_path, "--pipeline", tmp_path / "none")


@pytest.mark.full
def test_a_published_folder_becomes_the_served_networks(folder: Path, tmp_path: Path) -> None:
    finished = export("--pipeline", folder, "--model-repository", tmp_path / "models")
    assert finished.returncode == 0, finished.stderr
    parts = ", ".join(f"stable_diffusion_{part}" for part in ("encoder", "decoder", "preview", "text_encoder", "unet"))
    assert f"now served: {parts}\n" in finished.stdout
