"""Networks that fill holes become served models, from the checkpoints that their authors' trainers wrote."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from concord.loops.diffir import PRIOR
from concord.noise import SeededNoise
from concord.server.declared import catalogue
from concord.server.embedded import EmbeddedServer, Ports
from concord.server.installation import MODEL_REPOSITORIES
from export import checkpoint
from export.__main__ import main
from export.checkpoint import CheckpointError
from export.networks import diffir
from export.networks.diffir import PLACES_BIG, DiffIRConfig
from tests.commands import run
from tests.export import small
from tests.serving.asking import ask
from tests.serving.pictures import decoded, encoded, middle, photograph

export = partial(run, main, "diffir")


def trained(path: Path) -> Path:
    """As the authors' trainer writes it: beside the generator, the discriminator and the nets of its losses."""
    weights = {f"generator.{key}": value for key, value in small.diffir().state_dict().items()}
    others = {"discriminator.model0.0.weight": torch.ones(3), "loss_resnet_pl.impl.mean_": torch.ones(3)}
    torch.save({"epoch": 3, "state_dict": others | weights, "hyper_parameters": {"generator": {"kind": "x"}}}, path)
    return path


def test_of_a_trainers_file_the_generator_is_taken(tmp_path: Path) -> None:
    source = diffir.NETWORK.source
    found = checkpoint.read(trained(tmp_path / "last.ckpt"))
    assert source.claims(found.weights)
    assert source.own(found.weights).keys() == small.diffir().state_dict().keys()


def test_the_layouts_are_told_apart_by_their_keys() -> None:
    for name, config in (("diffir_s2_inpainting", DiffIRConfig()), ("diffir_s2_inpainting_places_big", PLACES_BIG)):
        with torch.device("meta"):
            weights = diffir.NETWORK.published[name]().state_dict()
        assert diffir.NETWORK.source.sizes(checkpoint.Checkpoint(weights, "", "")) == config
        inside = {f"generator.{key}": value for key, value in weights.items()}
        assert diffir.NETWORK.source.sizes(checkpoint.Checkpoint(inside, "", "")) == config


def test_a_missing_key_is_listed_and_nothing_served(tmp_path: Path) -> None:
    whole = load_file(small.save_sized(small.diffir(), small.DIFFIR, tmp_path / "whole.safetensors"))
    del whole["G.output.weight"]
    save_file(whole, tmp_path / "less.safetensors", {"config": json.dumps(vars(small.DIFFIR))})
    found = checkpoint.read(tmp_path / "less.safetensors")
    with pytest.raises(CheckpointError, match=r"missing: G\.output\.weight"):
        diffir.NETWORK.source.load(found)


def test_what_is_in_the_hole_and_the_order_of_a_batch_have_no_effect() -> None:
    served = diffir.ServedDiffIR(small.diffir())
    picture, hole, noise = list(diffir.NETWORK.samples())[1]
    other = torch.where(hole[..., None] > 0, 255 - picture, picture)
    with torch.no_grad():
        expected = served(picture, hole, noise)
        torch.testing.assert_close(served(other, hole, noise), expected)
        torch.testing.assert_close(served(picture[1:], hole[1:], noise[1:]), expected[1:], atol=1e-5, rtol=0)
        assert not torch.equal(served(picture, hole, noise + 9), expected)


@pytest.mark.full
def test_an_exported_checkpoint_fills_holes_through_the_server(tmp_path: Path) -> None:
    config = replace(small.DIFFIR, resolution=256)
    path = small.save_sized(small.diffir(), config, tmp_path / "diffir.safetensors")
    repository, ensembles = tmp_path / "models", tmp_path / "ensembles"
    networks, pipelines = MODEL_REPOSITORIES
    copytree(pipelines / "inpaint_diffir", ensembles / "inpaint_diffir")
    finished = export("--checkpoint", path, "--model-repository", repository)
    assert finished.returncode == 0 and "now served: diffir" in finished.stdout, finished.stdout + finished.stderr
    assert [each.settings["RESOLUTION"].default for each in catalogue([ensembles], ()).pipelines] == [256]
    (repository / "diffir" / "config.pbtxt").symlink_to(networks / "diffir" / "config.pbtxt")
    pixels, mask = photograph(256, 256), middle(256, 256)
    given = {
        "IMAGE": encoded(pixels),
        "MASK": encoded(mask),
        "SEED": np.array([[7]], np.int64),
        "BLEND": np.array([[False]]),
    }
    with EmbeddedServer([repository, ensembles], ports=Ports(0, 0, 0)) as server:
        answer = decoded(ask(server, "inpaint_diffir", given)["INPAINTED"].item())
    image, hole = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255, torch.from_numpy(mask > 0)[None, None].float()
    with torch.no_grad():
        drawn = small.diffir()(image, hole, torch.from_numpy(SeededNoise(7).draw(0, (1, PRIOR))))[0]
    published = (drawn * hole + image * (1 - hole)).clamp(0, 1)[0].permute(1, 2, 0).numpy() * 255
    np.testing.assert_allclose(answer, published, atol=0.5 + 1e-3 * 255)
