"""Latent diffusion's text2img-large: its published file, and its loop beside the published recipe."""

import asyncio
import json
import re
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from concord import word_pieces
from concord.limits import Limits
from concord.loops.request import LoopRequest
from concord.loops.text_to_image import TextToImage
from concord.noise import SeededNoise
from concord.word_pieces import WordPieces
from export.__main__ import main
from export.calibration import scenes
from export.networks import ldm_text2img, ldm_text2img_unet
from export.networks.ldm_text2img import SOURCE, LdmText2ImgNet
from export.networks.ldm_text2img_text_encoder import ServedTextTransformer
from export.networks.map_attention import with_ordinary_attention
from export.networks.text_unet import STEPS, ServedTextUnet
from export.pipelines import ldm as pipeline
from export.runtime_form import Form, rewrite
from tests.commands import run
from tests.export import small, small_painting
from tests.export.test_diffusion import path_of
from tests.export.text_host import TextHost
from tests.serving.pictures import decoded

CALLS, SEED, SCALE, SIDE = 10, 7, 5.0, 128
TEXT = "A red cat on a sofa."
export = partial(run, main, "ldm", "--convolution", "direct")
Denoiser = Callable[[Tensor, int], Tensor]


def published(network: LdmText2ImgNet) -> dict[str, Tensor]:
    """The weights as they lie in the authors' file, with what their trainer keeps besides."""
    constants = {"betas": torch.ones(1000), "alphas_cumprod": torch.ones(1000)}
    return network.state_dict() | constants | {"first_stage_model.loss.logvar": torch.zeros(())}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    """The arguments with a small model and its vocabulary."""
    folder = tmp_path_factory.mktemp("published")
    (folder / "vocab.txt").write_bytes(word_pieces.dump(small.PIECES))
    path = small.save_weights(published(small.ldm()), small.LDM, folder / "model.safetensors")
    return ["--checkpoint", path, "--vocabulary", folder / "vocab.txt"]


@pytest.fixture(scope="module")
def repository(files: list[object], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command makes of them."""
    folder = tmp_path_factory.mktemp("ldm") / "models"
    finished = export(*files, "--model-repository", folder)
    assert finished.returncode == 0, finished.stderr
    parts = ", ".join(f"ldm_text2img_{part}" for part in ("encoder", "decoder", "preview", "text_encoder", "unet"))
    assert f"now served: {parts}\n" in finished.stdout
    return folder


@pytest.mark.full
def test_a_published_file_and_its_vocabulary_become_the_served_networks(repository: Path, files: list[object]) -> None:
    vocabulary = repository / ldm_text2img.TOKENIZER / "1" / word_pieces.FILE
    assert word_pieces.read(vocabulary) == list(small.PIECES)
    record = json.loads((repository / "ldm_text2img_unet/1/model.json").read_text())
    assert record["checkpoint"] == "model.safetensors" and record["config"]["widths"] == [32, 32, 64, 64]
    seen = list(ldm_text2img_unet.NETWORK.seen(islice(scenes(held_out=True), 1), repository))
    assert [each["TIMESTEP"].item() for each in seen] == [t for t in (801, 601, 401, 201, 1) for _ in range(2)]
    assert len(seen) == 2 * STEPS and all(np.isfinite(each["LATENT"]).all() for each in seen)
    assert path_of(repository, "ldm_text2img_preview").is_file()


def ddim(noise_of: Denoiser, x: Tensor) -> Tensor:
    """The authors' sampler, written down one step after the other, eta 0."""
    kept, timesteps, before = schedule()
    for step in reversed(range(len(timesteps))):
        x = moved(x, noise_of(x, timesteps[step]), kept[timesteps[step]], before[step])
    return x


def plms(noise_of: Denoiser, x: Tensor) -> Tensor:
    """Their other one: the first step by improved Euler, then by what the last four calls said."""
    kept, timesteps, before = schedule()
    old: list[Tensor] = []
    for step in reversed(range(len(timesteps))):
        a, after = kept[timesteps[step]], before[step]
        e = noise_of(x, timesteps[step])
        match old:
            case []:
                mean = (e + noise_of(moved(x, e, a, after), timesteps[step - 1])) / 2
            case [one]:
                mean = (3 * e - one) / 2
            case [two, one]:
                mean = (23 * e - 16 * one + 5 * two) / 12
            case _:
                mean = (55 * e - 59 * old[-1] + 37 * old[-2] - 9 * old[-3]) / 24
        old = [*old[-2:], e]
        x = moved(x, mean, a, after)
    return x


def schedule() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The share of the signal at every timestep, the sampler's timesteps, and the shares after their steps."""
    kept = np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=np.float64) ** 2)
    timesteps = np.arange(0, 1000, 1000 // CALLS) + 1
    return kept, timesteps, np.append(kept[0], kept[timesteps[:-1]])


def moved(x: Tensor, e: Tensor, a: float, after: float) -> Tensor:
    return after**0.5 * (x - (1 - a) ** 0.5 * e) / a**0.5 + (1 - after) ** 0.5 * e


def straight(network: LdmText2ImgNet, sampler: Callable[[Denoiser, Tensor], Tensor], noise: np.ndarray) -> np.ndarray:
    """The authors' script for one picture, in grey levels [S, S, 3]."""
    pieces = WordPieces(small.PIECES)
    tokens = torch.from_numpy(np.stack([pieces.empty, pieces.encode(TEXT.encode())[0]]))
    states = network.text(tokens)

    def noise_of(x: Tensor, timestep: int) -> Tensor:
        without, told = network.unet(torch.cat((x, x)), torch.tensor([timestep, timestep]), states).chunk(2)
        return without + SCALE * (told - without)

    autoencoder = network.first_stage_model
    picture = autoencoder.decoder(autoencoder.post_quant_conv(sampler(noise_of, torch.from_numpy(noise)) / 0.18215))
    return (255 * ((picture + 1) / 2).clamp(0, 1))[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize("sampler", [ddim, plms], ids=["ddim", "plms"])
@torch.no_grad()
def test_the_loop_gives_the_picture_of_the_published_recipe(sampler: Callable[[Denoiser, Tensor], Tensor]) -> None:
    network = small.ldm()
    _, decoder = pipeline.served_autoencoder(network.first_stage_model)
    networks = {
        "text_encoder": ServedTextTransformer(network.text),
        "unet": ServedTextUnet(network.unet, small.LDM.text_width),
        "decoder": decoder,
    }
    pieces = WordPieces(small.PIECES)
    host = TextHost(networks, (lambda text: pieces.encode(text)[0], pieces.empty))
    settings = {
        "SEED": SEED,
        "STEPS": CALLS,
        "SAMPLER": sampler.__name__,
        "GUIDANCE": SCALE,
        "RESOLUTION": SIDE,
    }
    models = {role: role for role in (*networks, "tokenizer")}
    request = LoopRequest({"TEXT": TEXT.encode()}, settings, models, 600)
    answer = asyncio.run(TextToImage(request, host, Limits()).run())
    expected = straight(network, sampler, SeededNoise(SEED).draw(0, (1, 4, SIDE // 8, SIDE // 8)))
    # A thousandth of the range, behind the rounding to whole levels.
    assert np.abs(decoded(answer["GENERATED"]) - expected).max() <= 0.5 + 0.255
    assert expected.std() > 10
    assert [step for step, _ in host.reported] == list(range(CALLS + 1))
    assert set(host.batches) == {("text_encoder", 2), ("unet", 2), ("decoder", 1)}


def test_the_form_for_processors_computes_the_same() -> None:
    """Of the autoencoder, whose attention is written otherwise, and of the text encoder."""
    network = small.ldm()
    tokens = torch.arange(77)[None] % len(small.PIECES)
    encoder, decoder = pipeline.served_autoencoder(network.first_stage_model)
    text = ServedTextTransformer(network.text)
    picture, latent = torch.randint(0, 256, (2, 64, 96, 3), dtype=torch.uint8), torch.randn(2, 4, 8, 12)
    with torch.no_grad():
        for part, given in ((encoder, picture), (decoder, latent), (text, tokens)):
            expected = part(given)
            with_ordinary_attention(part)
            rewrite(part, Form("plain", "winograd"))
            torch.testing.assert_close(part(given), expected, atol=1e-4, rtol=1e-4)


def test_a_narrower_encoder_s_states_end_in_zeros_and_its_unet_reads_the_others() -> None:
    network = small.ldm()
    with torch.no_grad():
        states = ServedTextTransformer(network.text)(torch.ones(1, 77, dtype=torch.int64))
        assert states.shape == (1, 77, 1280) and not states[..., small.LDM.text_width :].any()
        unet, given = ServedTextUnet(network.unet, small.LDM.text_width), (torch.randn(1, 4, 16, 16), torch.ones(1, 1))
        torch.testing.assert_close(unet(*given, states), network.unet(given[0], given[1][:, 0], states[..., :24]))


def test_what_the_trainer_keeps_besides_is_left_out_and_nothing_else() -> None:
    network = small.ldm()
    assert SOURCE.own(published(network)).keys() == network.state_dict().keys()
    assert "cond_stage_model.other" in SOURCE.own({"cond_stage_model.other": torch.zeros(1)})


def refused(files: list[object], folder: Path, **given: Path) -> str:
    replaced = {f"--{name}": path for name, path in given.items()}
    arguments = dict(zip(files[::2], files[1::2], strict=True)) | replaced
    also = (each for pair in arguments.items() for each in pair)
    finished = export(*also, "--model-repository", folder / "models")
    assert finished.returncode == 1 and not (folder / "models").exists()
    return finished.stderr


def test_a_checkpoint_of_another_model_is_named(files: list[object], tmp_path: Path) -> None:
    torch.save(small.diffir().state_dict(), tmp_path / "diffir.pth")
    said = "not a checkpoint of ldm, but of diffir: python -m export diffir takes it"
    assert said in refused(files, tmp_path, checkpoint=tmp_path / "diffir.pth")
    other = small_painting.save_file(tmp_path / "sd.ckpt")
    said = "sd.ckpt: not a checkpoint of ldm, but of text-to-image Stable Diffusion"
    assert said in refused(files, tmp_path, checkpoint=other)


def test_a_file_that_does_not_fit_is_refused_by_its_keys(files: list[object], tmp_path: Path) -> None:
    weights = published(small.ldm())
    weights["cond_stage_model.transformer.norm.gain"] = weights.pop("cond_stage_model.transformer.norm.weight")
    said = refused(files, tmp_path, checkpoint=small.save_weights(weights, small.LDM, tmp_path / "x.safetensors"))
    assert "missing: cond_stage_model.transformer.norm.weight" in said
    assert "left over: cond_stage_model.transformer.norm.gain" in said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (word_pieces.dump(small.PIECES[:-2]), r"no vocabulary of BERT: \[CLS\], \[SEP\] missing"),
        (word_pieces.dump([*small.PIECES, "dog"]), "has 12 word pieces, and the text encoder 11"),
        (b"\xff\xfe", "not readable as a vocabulary"),
    ],
    ids=["another's", "longer", "binary"],
)
def test_a_vocabulary_that_is_not_the_encoders_is_refused(
    files: list[object], tmp_path: Path, content: bytes, said: str
) -> None:
    (tmp_path / "words.txt").write_bytes(content)
    assert re.search(said, refused(files, tmp_path, vocabulary=tmp_path / "words.txt"))
