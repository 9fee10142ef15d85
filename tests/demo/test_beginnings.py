"""Networks that begin with what others have learned answer as these do."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file
from torch import nn

from concord.loops.diffir import PRIOR
from concord.scenes.scene import make_scene
from concord.tokenizer import Tokenizer
from demo import sizes
from demo.tasks import Task, clip_harmonizer, inpainter, referrer
from demo.tasks.autoencoder import Autoencoder
from demo.tasks.captions import pieces
from demo.tasks.drawer import Drawing
from demo.tasks.harmonizer import Harmonizer
from demo.tasks.segmenter import Segmenter
from export.network import Network
from export.networks import clip_ht, diffir, harmony_transformer
from export.networks.clip_ht import ClipHT
from export.networks.cris import Cris
from export.networks.diffir import DiffIRNet
from export.networks.kl_autoencoder import SCALE
from export.networks.text_encoder import prompt

TEXT = b"the large red ball to the left of the blue cube"


def test_the_clip_ht_answers_nearly_as_the_ht_that_it_begins_as() -> None:
    weights = {key: value.float() for key, value in load_file(Harmonizer(sizes.HT).output).items()}
    before = harmony_transformer.build(sizes.HT).eval()
    before.load_state_dict(weights)
    torch.manual_seed(0)
    network = ClipHT(sizes.CLIP_HT).eval()
    clip_harmonizer.begin(network, weights)
    image, mask = torch.rand(1, 3, 256, 256), (torch.rand(1, 1, 256, 256) > 0.5).float()
    views = torch.randn(2, 1, 3, 224, 224)
    with torch.no_grad():
        difference = network(image, mask, *views) - before(image, mask)
    assert difference.abs().max() < 0.02


@pytest.mark.parametrize(
    ("task", "build", "network"),
    [
        (clip_harmonizer.ClipHarmonizer, ClipHT, clip_ht.NETWORK),
        (inpainter.Inpainter, DiffIRNet, diffir.NETWORK),
    ],
    ids=["clip_ht", "diffir"],
)
def test_a_trained_network_is_written_with_its_own_sizes(
    tmp_path: Path, task: type[Task], build: Callable[[Any], nn.Module], network: Network
) -> None:
    trained = task()
    trained.write(build(trained.config).state_dict(), tmp_path / "trained.safetensors")
    loaded = network.source.load(network.source.read(tmp_path / "trained.safetensors"))
    assert loaded.record["config"] == asdict(trained.config)


def test_the_blocks_of_a_new_diffir_let_features_pass() -> None:
    torch.manual_seed(0)
    network = DiffIRNet(sizes.DIFFIR)
    inpainter.begin(network)
    block: Any = network.G.latent[0]
    features = torch.randn(1, block.norm1.body.normalized_shape[0], 8, 8)
    with torch.no_grad():
        prior = network.diffusion(torch.rand(1, diffir.MASKED, 64, 64), torch.randn(1, PRIOR))
        led = block.attn.led(features, prior)
    assert torch.corrcoef(torch.stack((led.flatten(), features.flatten())))[0, 1] > 0.95
    assert 0.8 < led.std() / features.std() < 1.25


def test_the_text_encoder_says_what_cris_s_text_tower_says() -> None:
    cris = Cris(sizes.CRIS).eval()
    cris.load_state_dict({key: value.float() for key, value in load_file(Segmenter.output).items()})
    module = referrer.Referring().eval()
    referrer.begin(module)
    tokenizer = Tokenizer.load()
    tokens = torch.from_numpy(tokenizer.encode(TEXT)[0])[None]
    words = int((tokens != 0).sum())
    with torch.no_grad():
        expected, _ = cris.backbone.encode_text(tokens)
        states = module.network[referrer.TEXT_ENCODER](torch.from_numpy(prompt(TEXT, tokenizer))[None])
    torch.testing.assert_close(states[:, :words, : sizes.CRIS.text_width], expected[:, :words], atol=1e-5, rtol=0)


def test_what_is_written_of_a_referring_network_is_read_again(tmp_path: Path) -> None:
    torch.manual_seed(0)
    weights = referrer.Referring().network.state_dict()
    task = referrer.Referrer()
    task.write(weights, tmp_path)
    again = task.read(tmp_path)
    assert again.keys() == weights.keys()
    for key, value in weights.items():
        torch.testing.assert_close(again[key], value.half().float() if "head" not in key else value, msg=key)


def test_the_drawing_network_has_the_demo_s_autoencoder_under_published_keys() -> None:
    network = Drawing().network.first_stage_model
    trained: Any = AutoencoderKL.from_pretrained(Autoencoder.output).float().eval()
    image, latent = torch.rand(1, 3, 64, 96) * 2 - 1, torch.randn(1, 4, 8, 12)
    factor = trained.config.scaling_factor
    with torch.no_grad():
        mean, logarithm, picture = network(image, latent / SCALE)
        wanted = trained.encode(image).latent_dist
        torch.testing.assert_close(mean * SCALE, wanted.mean * factor, atol=1e-5, rtol=1e-5)
        variance = (logarithm.exp() * SCALE**2, wanted.var * factor**2)
        torch.testing.assert_close(*variance, atol=1e-5, rtol=1e-3)
        torch.testing.assert_close(picture, trained.decode(latent / factor).sample, atol=1e-5, rtol=1e-5)


def test_every_word_of_a_scene_s_texts_is_a_piece_that_the_drawing_network_knows() -> None:
    said = {
        word for scene in map(make_scene, range(20)) for each in scene.referrals for word in each.expression.split()
    }
    assert said <= set(pieces()) and len(pieces()) < 200
