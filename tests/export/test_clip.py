"""OpenAI's CLIP: its published archive, and both towers beside open_clip's."""

import pickle
import warnings
import zipfile
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg

from concord.tokenizer import END, PROMPT_LENGTH, START
from export import checkpoint, torchscript_archive
from export.__main__ import main
from export.checkpoint import CheckpointError
from export.networks import openai_clip
from export.onnx_file import session
from tests.commands import run

export = partial(run, main, "clip")
WIDTH = 64


def published(seed: int = 0, **vision: int) -> CLIP:
    """A small CLIP, in open_clip's modules, whose keys are OpenAI's."""
    torch.manual_seed(seed)
    sizes = {"layers": 2, "width": WIDTH, "patch_size": 16, "image_size": 224} | vision
    network = CLIP(
        openai_clip.EMBEDDING,
        CLIPVisionCfg(**sizes),
        CLIPTextCfg(width=WIDTH, heads=1, layers=2, vocab_size=END + 1),
        quick_gelu=True,
    )
    for value in network.parameters():  # the norms would be the same whatever is in their place
        value.data += 0.05 * torch.randn_like(value)
    return network.eval()


class Archived(torch.nn.Module):
    """Holds the weights where the published archive does, and three numbers beside them."""

    def __init__(self, network: CLIP) -> None:
        super().__init__()
        for key, value in network.state_dict().items():
            self._put(self, key.split("."), value.half() if value.is_floating_point() else value)
        for name, number in (("input_resolution", 224), ("context_length", PROMPT_LENGTH), ("vocab_size", END + 1)):
            self.register_buffer(name, torch.tensor(number))

    def _put(self, module: torch.nn.Module, names: list[str], value: torch.Tensor) -> None:
        name, *rest = names
        if rest:
            if name not in dict(module.named_children()):
                module.add_module(name, torch.nn.Module())
            self._put(module.get_submodule(name), rest, value)
        else:
            module.register_parameter(name, torch.nn.Parameter(value, requires_grad=False))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "ViT-B-16.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # TorchScript is an old form, and the published one
        torch.jit.save(torch.jit.trace(Archived(published()), torch.zeros(1)), path)
    return path


def test_an_archive_has_the_weights_of_a_state_dict(archive: Path) -> None:
    found = checkpoint.read(archive).weights
    for key, value in published().state_dict().items():
        torch.testing.assert_close(found[key], value.half().float(), atol=0, rtol=0)
    assert found.keys() - published().state_dict().keys() == {"input_resolution", "context_length", "vocab_size"}


def test_an_archive_that_names_a_function_is_refused(archive: Path, tmp_path: Path) -> None:
    path, owned = tmp_path / "evil.pt", tmp_path / "owned"

    class Evil:
        def __reduce__(self) -> tuple:
            return Path.touch, (owned,)

    with zipfile.ZipFile(path, "w") as file:
        file.writestr("evil/data.pkl", pickle.dumps(Evil(), protocol=2))
        file.writestr("evil/constants.pkl", pickle.dumps((), protocol=2))
    assert torchscript_archive.is_archive(path)
    with pytest.raises(CheckpointError, match="refused, damaged or holding more than tensors"):
        checkpoint.read(path)
    assert not owned.exists()


def test_both_towers_answer_as_open_clip_s(archive: Path, tmp_path: Path) -> None:
    """Through the file, the export, and ONNX Runtime."""
    finished = export("--checkpoint", archive, "--model-repository", tmp_path)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "now served: clip_image_encoder, clip_text_encoder" in finished.stdout
    network = published()
    network.load_state_dict({key: value.half().float() for key, value in network.state_dict().items()})
    view, tokens = torch.randn(2, 3, 224, 224), torch.zeros(2, PROMPT_LENGTH, dtype=torch.int64)
    tokens[:, :4] = torch.tensor([[START, 320, 1125, END], [START, 518, END, 0]])
    for name, given, expected in (
        ("clip_image_encoder", {"VIEW": view}, network.encode_image),
        ("clip_text_encoder", {"TOKENS": tokens}, network.encode_text),
    ):
        feeds = {key: value.numpy() for key, value in given.items()}
        [answer] = session(tmp_path / name / "1" / "model.onnx").run(None, feeds)
        with torch.no_grad():
            wanted = F.normalize(expected(next(iter(given.values()))), dim=-1)
        torch.testing.assert_close(torch.from_numpy(answer), wanted, atol=1e-5, rtol=0)


def test_a_clip_of_other_sizes_is_refused_with_what_is_served() -> None:
    config = openai_clip.sizes(published(image_size=336, patch_size=14).state_dict())
    assert "this CLIP sees 336 x 336 pixels" in openai_clip.refused(config, {})
    assert openai_clip.refused(openai_clip.sizes(published(patch_size=32).state_dict()), {}) == ""
