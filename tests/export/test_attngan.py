"""AttnGAN: three published files become a served model that draws what a caption says."""

import json
import pickle
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from concord.noise import SeededNoise
from concord.server.embedded import EmbeddedServer, Ports
from concord.server.installation import MODEL_REPOSITORIES
from concord.word_vocabulary import LONGEST
from concord_client import Client, Generate, InvalidInput
from concord_client.command import main as concord
from export.__main__ import main
from export.captions import read_words
from export.checkpoint import CheckpointError
from export.networks.attngan_generator import NOISE, SIDES, AttnGan, AttnGanConfig
from export.networks.attngan_text_encoder import AttnGanTextConfig, AttnGanTextEncoder
from tests.commands import run
from tests.export import small
from tests.serving.generating_networks import link_words
from tests.serving.pictures import decoded

export = partial(run, main, "attngan")
WORDS = ["<end>", "a", "small", "red", "bird", "with", "Blue", "wings", "sits", "on", "branch"]
CAPTION = "A small red bird with blue wings, on a grey branch."
NUMBERS = [1, 2, 3, 4, 5, 6, 7, 9, 1, 10]  # "grey" is none of the words


def generator() -> AttnGan:
    torch.manual_seed(1)
    network = AttnGan(AttnGanConfig(width=4, blocks=2)).eval()
    with torch.no_grad():
        for part in (network.img_net1, network.img_net2, network.img_net3):
            part.img[0].weight *= 300  # pictures with contrast
    return network


def text_encoder() -> AttnGanTextEncoder:
    torch.manual_seed(2)
    return AttnGanTextEncoder(AttnGanTextConfig(len(WORDS), embedding=12)).eval()


def captions(words: list[str]) -> bytes:
    """As published: captions of both halves, the words by number and the numbers by word, as Python 2 wrote it."""
    by_number = dict(enumerate(words))
    return pickle.dumps([[[1, 2]], [[3]], by_number, {word: each for each, word in by_number.items()}], protocol=2)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The files by flag."""
    folder = tmp_path_factory.mktemp("published")
    files = {
        "--generator": folder / "bird_AttnGAN2.pth",
        "--text-encoder": folder / "text_encoder200.pth",
        "--captions": folder / "captions.pickle",
    }
    torch.save(generator().state_dict(), files["--generator"])
    torch.save(text_encoder().state_dict(), files["--text-encoder"])
    files["--captions"].write_bytes(captions(WORDS))
    return files


def flags(files: dict[str, Path]) -> list[object]:
    return [each for pair in files.items() for each in pair]


@pytest.fixture(scope="module")
def repository(published: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command makes of the files."""
    folder = tmp_path_factory.mktemp("models")
    finished = export(*flags(published), "--model-repository", folder)
    assert finished.returncode == 0, finished.stderr
    assert "now served: attngan_text_encoder, attngan_generator" in finished.stdout
    return folder


@pytest.fixture(scope="module")
def server(repository: Path) -> Iterator[EmbeddedServer]:
    networks = MODEL_REPOSITORIES[0]
    for name in ("attngan_text_encoder", "attngan_generator"):
        (repository / name / "config.pbtxt").symlink_to(networks / name / "config.pbtxt")
    link_words(repository)
    with EmbeddedServer([repository], ports=Ports(0, 0, 0)) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: EmbeddedServer) -> Iterator[Client]:
    with Client(server.grpc_url) as connected:
        yield connected


def straight(seed: int) -> list[np.ndarray]:
    """The pictures uint8 [S, S, 3] of a run in torch of the published recipe, the words packed as published."""
    encoder, tokens = text_encoder(), torch.tensor([NUMBERS])
    packed = torch.nn.utils.rnn.pack_padded_sequence(encoder.encoder(tokens), [len(NUMBERS)], batch_first=True)
    states, (last, _) = encoder.rnn(packed)
    words = torch.nn.utils.rnn.pad_packed_sequence(states, batch_first=True)[0].transpose(1, 2)
    noise, condition = (torch.from_numpy(SeededNoise(seed).draw(i, (NOISE,)))[None] for i in range(2))
    given = (noise, torch.cat((last[0], last[1]), 1), words, torch.zeros(1, len(NUMBERS), dtype=torch.bool), condition)
    pictures = generator()(*given)[: len(SIDES)]
    return [((each[0] + 1) * 127.5).clamp(0, 255).permute(1, 2, 0).numpy() for each in pictures]


@torch.no_grad()
def test_the_served_picture_is_that_of_the_published_recipe(client) -> None:
    for side, expected in zip(SIDES, straight(seed=5), strict=True):
        answer = client.run(Generate(CAPTION), settings={"seed": 5, "resolution": side})
        found = decoded(answer.image)
        assert found.shape == (side, side, 3) and answer.seed == 5 and not answer.truncated
        assert np.abs(found - expected).max() <= 0.75
        assert expected.std() > 10


def test_a_seed_is_drawn_and_gives_the_same_picture_again(client) -> None:
    first, second = client.run(Generate(CAPTION)), client.run(Generate(CAPTION))
    assert first.image != second.image
    assert client.run(Generate(CAPTION), settings={"seed": first.seed}).image == first.image


def test_another_caption_gives_another_picture(client) -> None:
    one, other = (client.run(Generate(text), settings={"seed": 1}).image for text in ("a red bird", "a blue bird"))
    assert one != other


def test_a_caption_that_is_too_long_is_cut_off_and_said_to_be(client) -> None:
    longest = client.run(Generate("bird " * 20), settings={"seed": 1})
    longer = client.run(Generate("bird " * 20 + "red wings"), settings={"seed": 1})
    assert not longest.truncated and longer.truncated and longer.image == longest.image


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ein Vogel", "none of its words is in the model's vocabulary"),
        ("...", "it has no words"),
        ("", "it has no words"),
        ("bird " * 1000, "5000 bytes"),
    ],
    ids=["foreign", "signs", "empty", "long"],
)
def test_a_caption_that_says_nothing_to_the_model_is_refused(client, text, said) -> None:
    with pytest.raises(InvalidInput) as refused:
        client.run(Generate(text))
    assert refused.value.field == "TEXT" and said in refused.value.problem


def test_the_command_writes_the_picture(server, tmp_path) -> None:
    path = tmp_path / "bird.png"
    done = run(concord, "generate", "--text", CAPTION, "--seed", 5, "-o", path, "--url", server.grpc_url)
    assert done.returncode == 0, done.stderr
    assert decoded(path.read_bytes()).shape == (256, 256, 3)


def test_captions_of_several_lengths_are_read_each_to_its_own_end() -> None:
    encoder, lengths = text_encoder(), torch.tensor([3, 10, 1])
    tokens = torch.randint(1, len(WORDS), (3, LONGEST)) * (torch.arange(LONGEST) < lengths[:, None])
    words, sentence = encoder(tokens, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = encoder(tokens[row : row + 1, :length], lengths[row : row + 1])
        torch.testing.assert_close(words[row : row + 1, :, :length], alone[0])
        torch.testing.assert_close(sentence[row : row + 1], alone[1])
        assert not words[row, :, length:].any()


def test_a_trainers_wrapper_and_a_layout_of_the_users_are_taken_off(published, tmp_path) -> None:
    for keys, layout in (
        ({"": "netG."}, None),
        ({"h_net": "stage", "img_net": "head"}, {"stage": "h_net", "head": "img_net"}),
    ):
        weights = generator().state_dict()
        for ours, theirs in keys.items():
            weights = {re.sub(f"^{ours}", theirs, key): each for key, each in weights.items()}
        torch.save(weights, tmp_path / "alr_gan.pth")
        (tmp_path / "layout.json").write_text(json.dumps(layout))
        more = ["--layout", tmp_path / "layout.json"] if layout else []
        # It gets as far as the words, which come last.
        files = published | {"--generator": tmp_path / "alr_gan.pth", "--captions": tmp_path / "none.pickle"}
        refused = export(*flags(files), *more, "--model-repository", tmp_path / "models")
        assert refused.returncode == 1 and "none.pickle: no such file" in refused.stderr


def test_a_file_of_another_network_is_refused_by_name(published, tmp_path) -> None:
    other = small.save_sized(small.cris(), small.CRIS, tmp_path / "cris.safetensors")
    refused = export(*flags(published | {"--generator": other}), "--model-repository", tmp_path / "models")
    assert "not a checkpoint of AttnGAN's generator, but of cris: python -m export cris takes it" in refused.stderr
    both = published | {"--text-encoder": published["--generator"]}
    refused = export(*flags(both), "--model-repository", tmp_path / "models")
    assert "bird_AttnGAN2.pth: not a checkpoint of AttnGAN's text encoder" in refused.stderr
    (tmp_path / "captions.pickle").write_bytes(captions(WORDS[:-1]))
    fewer = published | {"--captions": tmp_path / "captions.pickle"}
    refused = export(*flags(fewer), "--model-repository", tmp_path / "models")
    assert "captions.pickle: has 10 words, and the text encoder 11" in refused.stderr
    assert not (tmp_path / "models").exists()


class Harmful:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("protocol", [0, 2, pickle.HIGHEST_PROTOCOL])
def test_no_code_in_the_captions_is_run(tmp_path, protocol) -> None:
    owned, path = tmp_path / "owned", tmp_path / "captions.pickle"
    path.write_bytes(pickle.dumps([Harmful(owned), [], dict(enumerate(WORDS)), {}], protocol))
    with pytest.raises(CheckpointError, match="refused, it holds more than plain values"):
        read_words(path)
    assert not owned.exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "damaged or not a pickle"),
        (captions(WORDS)[:40], "damaged or not a pickle"),
        (pickle.dumps({"words": WORDS}), "not the list of captions and words"),
        (pickle.dumps([[], [], {0: "a", 2: "b"}, {}]), "not the list of captions and words"),
        (pickle.dumps([[], [], {0: "a", 1: 7}, {}]), "its words are no texts"),
    ],
    ids=["empty", "half", "dictionary", "gap", "numbers"],
)
def test_a_vocabulary_that_is_none_is_refused(tmp_path, content, said) -> None:
    path = tmp_path / "captions.pickle"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=said):
        read_words(path)
